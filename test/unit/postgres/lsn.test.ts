import { expect, it } from 'vitest'
import { endOfLog, formatLsn, parseLsn } from '../../../src/adapters/postgres/lsn.js'

it.each(['0/0', '0/16B3748', '16/B374D848', 'FFFFFFFF/FFFFFFFF'])('%s is the same again', (text) => {
  expect(formatLsn(parseLsn(text))).toBe(text)
})

it('places compare as numbers do', () => {
  expect(parseLsn('A/0') > parseLsn('9/FFFFFFFF')).toBe(true)
  expect(parseLsn('00000001/000000F0')).toBe(parseLsn('1/F0'))
})

it('the end of the log is not behind a header that is not written yet', () => {
  expect(endOfLog(8_192n * 5n + 24n)).toBe(8_192n * 5n)
  expect(endOfLog(8_192n * 5n + 40n)).toBe(8_192n * 5n)
  expect(endOfLog(8_192n * 5n + 48n)).toBe(8_192n * 5n + 48n)
})
