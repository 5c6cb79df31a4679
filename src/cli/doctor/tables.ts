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
  for (const repository of inside.repositories) {
    try {
      await readTable(inside.db, { ...repository.options, version: false })
      fit.push(repository)
      if (repository.options.version !== undefined) await readTable(inside.db, repository.options)
    } catch (error) {
      if (!isCorralError(error, 'CONFIG_INVALID')) throw error
      const [found, fix] = saidBy(error.message)
      findings.push(finding('table.unfit', repository.table, found, fix))
    }
  }
  const tables = await readTableParts({ db: inside.db, repositories: fit })
  const shared = await readInstalledShared(inside.db)
  const plan = migrationPlan(tables, shared, { source: inside.slot ? 'slot' : 'outbox', locks: false })
  const hasOutbox =
    inside.slot === undefined &&
    shared.outbox &&
    plan.some(({ kind, state }) => kind === 'outbox-table' && state !== 'missing')
  return {
    findings: [...findings, ...plan.flatMap((step) => ofStep(step, inside.slot ? shared.publication : shared.outbox))],
    hasOutbox,
  }
}

/** A ConfigError says what it expected, which is what to do, and what it found. */
function saidBy(message: string): [found: string, fix: string] {
  const [, option, expected, found] = /^option `(.*?)`: expected (.*), found (.*)$/s.exec(message) ?? []
  return option === undefined ? [message, 'see there'] : [`${option} is ${found}`, `${option} has to be ${expected}`]
}

const IDS: Readonly<Record<MigrationStep['kind'], Partial<Readonly<Record<MigrationStep['state'], FindingId>>>>> = {
  stamp: { missing: 'stamp.missing', disabled: 'stamp.disabled', outdated: 'stamp.outdated' },
  outbox: { missing: 'outbox.missing', outdated: 'outbox.triggers-outdated' },
  'outbox-table': {
    missing: 'outbox.triggers-missing',
    disabled: 'outbox.triggers-disabled',
    outdated: 'outbox.triggers-outdated',
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
}

export function ofStep({ kind, entity, state }: MigrationStep, hasShared: boolean): Finding[] {
  const id = IDS[kind][state]
  // Said once, and not again for each table.
  if (id === undefined || (kind.endsWith('-table') && state === 'missing' && !hasShared)) return []
  const options = kind === 'stamp' ? ' --no-outbox' : ''
  return [
    finding(
      id,
      entity ?? (kind === 'slot' ? 'publication corral' : 'corral.outbox'),
      `${WHAT[kind]}: ${SAID[state]}`,
      `npx corral migrate${options}   (--apply runs it)`,
    ),
  ]
}
