import { readTable } from '../../adapters/postgres/catalog.js'
import { readInstalledShared } from '../../adapters/postgres/installed-parts.js'
import { isCorralError } from '../../core/errors.js'
import { type MigrationStep, migrationPlan } from '../migrate/plan.js'
import { readTableParts } from '../migrate/table-parts.js'
import { type Finding, type FindingId, finding } from './findings.js'
import type { Patient } from './patient.js'

/** Tables, their stamps and their outbox triggers. `hasOutbox`: changes of some table are written to it. */
export async function examineTables({ inside }: Patient): Promise<{ findings: Finding[]; hasOutbox: boolean }> {
  const findings: Finding[] = []
  const fit = []
  /** What keeps repositories from being opened that is not about their table as such. */
  const doubts = []
  for (const repository of inside.repositories) {
    const { table, options } = repository
    try {
      const { entity } = await readTable(inside.db, { ...options, version: false })
      fit.push(repository)
      const message = await refusalOf(readTable(inside.db, options))
      if (message !== undefined) doubts.push({ table, entity, message })
    } catch (error) {
      if (!isCorralError(error, 'CONFIG_INVALID')) throw error
      findings.push(unfit(table, error.message))
    }
  }
  const tables = await readTableParts({ db: inside.db, repositories: fit })
  const shared = await readInstalledShared(inside.db)
  const plan = migrationPlan(tables, shared, { source: inside.slot ? 'slot' : 'outbox', locks: false })
  for (const { table, entity, message } of doubts) {
    const stamp = plan.find((step) => step.kind === 'stamp' && step.entity === entity)
    // Said by a finding of its own, with the migration that mends it.
    const isSaid = message.startsWith(`option \`${table}.version\``) && STAMP_SAYS.includes(stamp?.state)
    if (!isSaid) findings.push(unfit(table, message))
  }
  const hasOutbox =
    inside.slot === undefined &&
    shared.outbox &&
    plan.some(({ kind, state }) => kind === 'outbox-table' && state !== 'missing')
  return {
    findings: [...findings, ...plan.flatMap((step) => ofStep(step, inside.slot ? shared.publication : shared.outbox))],
    hasOutbox,
  }
}

/** States of a stamp with which no repository that orders rows by it can be opened. */
const STAMP_SAYS: readonly (MigrationStep['state'] | undefined)[] = ['missing', 'disabled', 'broken']

/** What a table is refused for; undefined: it is not. @throws what is no ConfigError. */
async function refusalOf(reading: Promise<unknown>): Promise<string | undefined> {
  try {
    await reading
    return undefined
  } catch (error) {
    if (isCorralError(error, 'CONFIG_INVALID')) return error.message
    throw error
  }
}

function unfit(table: string, message: string): Finding {
  const [found, fix] = saidBy(message)
  return finding('table.unfit', table, found, fix)
}

/** A ConfigError says what it expected, which is what to do, and what it found. */
function saidBy(message: string): [found: string, fix: string] {
  const [, option, expected, found] = /^option `(.*?)`: expected (.*), found (.*)$/s.exec(message) ?? []
  return option === undefined ? [message, 'see there'] : [`${option} is ${found}`, `${option} has to be ${expected}`]
}

const IDS: Readonly<Record<MigrationStep['kind'], Partial<Readonly<Record<MigrationStep['state'], FindingId>>>>> = {
  stamp: { missing: 'stamp.missing', disabled: 'stamp.disabled', outdated: 'stamp.outdated', broken: 'stamp.broken' },
  outbox: { missing: 'outbox.missing', outdated: 'outbox.triggers-outdated' },
  'outbox-table': {
    missing: 'outbox.triggers-missing',
    disabled: 'outbox.triggers-disabled',
    outdated: 'outbox.triggers-outdated',
    broken: 'outbox.triggers-broken',
  },
  slot: { missing: 'slot.tables-missing' },
  'slot-table': { missing: 'slot.table-missing', outdated: 'slot.table-outdated' },
  locks: {},
}

const WHAT: Readonly<Record<MigrationStep['kind'], string>> = {
  stamp: 'version stamp',
  outbox: 'outbox',
  'outbox-table': 'outbox triggers',
  slot: 'publication',
  'slot-table': 'publication of the table',
  locks: 'table of fenced locks',
}

const SAID: Readonly<Record<MigrationStep['state'], string>> = {
  installed: '',
  missing: 'not there',
  disabled: 'there, but not always firing',
  outdated: 'not as these repositories need it',
  broken: 'every write fails',
}

export function ofStep({ kind, entity, state, fault }: MigrationStep, hasShared: boolean): Finding[] {
  const id = IDS[kind][state]
  // Said once, and not again for each table.
  if (id === undefined || (kind.endsWith('-table') && state === 'missing' && !hasShared)) return []
  const options = kind === 'stamp' ? ' --no-outbox' : ''
  return [
    finding(
      id,
      entity ?? (kind === 'slot' ? 'publication corral' : 'corral.outbox'),
      `${WHAT[kind]}: ${fault ?? SAID[state]}`,
      `npx corral migrate${options}   (--apply runs it)`,
    ),
  ]
}
