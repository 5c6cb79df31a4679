import { Command, Option } from 'commander'
import { sql } from 'kysely'
import type { AnyDatabase } from '../../adapters/postgres/catalog-query.js'
import { readInstalledShared } from '../../adapters/postgres/installed-parts.js'
import { SourceError } from '../../core/errors.js'
import type { CommandContext, CommandFrame, CommandResult, Options } from '../command-frame.js'
import { type MigrationStep, migrationPlan } from '../migrate/plan.js'
import { readTableParts } from '../migrate/table-parts.js'
import { textTable } from '../text-table.js'
import { wholeNumber } from '../whole-number.js'

export function migrateCommand(frame: CommandFrame): Command {
  return new Command('migrate')
    .description(
      "Prints the SQL that the tables of the config's repositories need and do not have yet: stamps, and the outbox and its triggers, or what a replication slot needs where the config's relay reads one. Writes nothing without --apply.",
    )
    .addOption(
      new Option('--check', 'list what is needed and what is there; exit with 1 when something is missing').conflicts(
        'apply',
      ),
    )
    .option('--apply', 'run it, each migration in a transaction of its own')
    .option('--all', 'print what is installed, too; every statement may be run twice')
    .option('--no-outbox', 'leave the outbox, or the slot, out')
    .option('--locks', 'with the table of withFencedLock')
    .option('--lock-timeout <ms>', 'longest wait for a lock on a table', wholeNumber(1, 3_600_000), 2_000)
    .action(frame.action(migrate))
}

async function migrate(context: CommandContext, _: readonly string[], options: Options): Promise<CommandResult> {
  const { inside, signal, progress } = context
  const source = options.outbox === false ? 'none' : inside.slot ? 'slot' : 'outbox'
  const choices = { source, locks: options.locks === true } as const
  const read = async () => migrationPlan(await readTableParts(inside), await readInstalledShared(inside.db), choices)
  const plan = await read()
  const due = plan.filter(({ state }) => state !== 'installed')
  const lockTimeoutMs = options.lockTimeout as number
  if (options.check === true) return listed(plan, due.length > 0)
  if (options.apply !== true) return printed(options.all === true ? plan : due, lockTimeoutMs)
  for (const [at, step] of due.entries()) {
    signal.throwIfAborted()
    progress.show({ done: at, total: due.length, note: titleOf(step) })
    await apply(inside.db, step, lockTimeoutMs)
  }
  const after = await read()
  return listed(
    after,
    after.some(({ state }) => state !== 'installed'),
  )
}

async function apply(db: AnyDatabase, step: MigrationStep, lockTimeoutMs: number): Promise<void> {
  try {
    await db
      .withoutPlugins()
      .transaction()
      .execute(async (tx) => {
        await sql.raw(`set local lock_timeout = '${lockTimeoutMs}ms'`).execute(tx)
        for (const statement of step.statements) await sql.raw(statement).execute(tx)
      })
  } catch (error) {
    throw new SourceError(`${titleOf(step)}: nothing of it was made; it`, error)
  }
}

function titleOf({ kind, entity }: MigrationStep): string {
  switch (kind) {
    case 'stamp':
      return `version stamp of ${entity}`
    case 'outbox':
      return 'outbox'
    case 'outbox-table':
      return `outbox triggers of ${entity}`
    case 'slot':
      return 'publication for the slot'
    case 'slot-table':
      return `${entity} in the publication`
    case 'locks':
      return 'table of fenced locks'
  }
}

function listed(plan: readonly MigrationStep[], isIncomplete: boolean): CommandResult {
  return {
    json: plan.map(({ kind, entity, state }) => ({ kind, entity, state })),
    text: plan.length === 0 ? 'nothing is needed' : textTable(plan.map((step) => [titleOf(step), step.state])),
    exit: isIncomplete ? 'found' : 'done',
  }
}

function printed(steps: readonly MigrationStep[], lockTimeoutMs: number): CommandResult {
  const json = steps.map(({ kind, entity, state, statements }) => ({ kind, entity, state, statements }))
  if (steps.length === 0) return { json, text: '-- nothing is missing' }
  const sections = steps.map((step) =>
    [
      `-- ${titleOf(step)} (${step.state})`,
      'begin;',
      `set local lock_timeout = '${lockTimeoutMs}ms';`,
      ...step.statements.map((statement) => `${statement};`),
      'commit;',
    ].join('\n'),
  )
  return { json, text: sections.join('\n\n') }
}
