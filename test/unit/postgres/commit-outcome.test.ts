import { expect, it } from 'vitest'
import { outcomeIsUnknown } from '../../../src/adapters/postgres/row-writer.js'

const answer = (severity: string, code: string) => Object.assign(new Error(code), { severity, code })

it.each<[string, unknown, boolean]>([
  ['a connection that broke', new Error('Connection terminated unexpectedly'), true],
  ['one that the system broke', Object.assign(new Error('read'), { code: 'ECONNRESET' }), true],
  ['a server that is told to end', answer('FATAL', '57P01'), true],
  ['a server of which a process has crashed', answer('WARNING', '57P02'), true],
  ['a pooler that has lost its server', answer('FATAL', '08P01'), true],
  ['a log that could not be flushed', answer('PANIC', '58030'), true],
  ['a log for which there is no more room', answer('PANIK', '53100'), true],
  ['an inner error', answer('PANIC', 'XX000'), true],
  ['a constraint, which may be checked at COMMIT', answer('ERROR', '23503'), false],
  ['a conflict', answer('FEHLER', '40001'), false],
  ['a statement that took too long', answer('ERROR', '57014'), false],
  ['nothing at all', undefined, true],
])('whether a write took place after %s', (_, error, isUnknown) => {
  expect(outcomeIsUnknown(error)).toBe(isUnknown)
})
