import { Command, Option } from 'commander'
import type { CommandContext, CommandFrame, CommandResult, Options } from '../command-frame.js'
import { examine, SEVERITIES } from '../doctor/examine.js'
import type { Diagnosis, Severity } from '../doctor/findings.js'
import { adminOf } from '../doctor/patient.js'
import { UsageError } from '../usage-error.js'

/** Groups of checks, for the progress bar. */
const GROUPS = 7

export function doctorCommand(frame: CommandFrame): Command {
  return new Command('doctor')
    .description(
      'Looks at Postgres, Redis, the tables, the relay and the clocks, and says what is wrong, why it matters, and the command that mends it. Changes nothing; to see whether it may, it writes a key that ends in a millisecond. CORRAL_ADMIN_USERNAME and CORRAL_ADMIN_PASSWORD, in the environment, name a Redis user that may look at settings, where that of the service may not.',
    )
    .option(
      '--seed <host:port...>',
      'Redis servers to look at besides those that are known: two of them that are primaries are a finding',
    )
    .addOption(
      new Option('--fail-on <severity>', 'exit with 1 from this severity on').choices(SEVERITIES).default('warning'),
    )
    .action(frame.action(doctor))
}

async function doctor(
  { world, inside, progress }: CommandContext,
  _: readonly string[],
  options: Options,
): Promise<CommandResult> {
  const seeds = (options.seed as string[] | undefined) ?? []
  const malformed = seeds.find((seed) => !/^.+:\d+$/.test(seed))
  if (malformed !== undefined) throw new UsageError(`--seed ${malformed}: expected host:port`)
  let done = 0
  const diagnosis = await examine({ inside, clock: world.clock, seeds, admin: adminOf(world.env) }, (note) => {
    progress.show({ done: done++, total: GROUPS, note })
  })
  const failing = SEVERITIES.slice(0, SEVERITIES.indexOf(options.failOn as Severity) + 1)
  const isFailing = diagnosis.findings.some(({ severity }) => failing.includes(severity))
  return { json: diagnosis, text: diagnosisText(diagnosis), exit: isFailing ? 'found' : 'done' }
}

export function diagnosisText({ findings, unchecked }: Diagnosis): string {
  const blocks = findings.map(({ id, severity, subject, found, why, fix }) =>
    [`${severity}  ${id}  ${subject}`, `  found  ${found}`, `  why    ${why}`, `  fix    ${fix}`].join('\n'),
  )
  const notes = unchecked.map(({ what, reason }) => `not checked  ${what}: ${reason}`)
  const counts = SEVERITIES.map(
    (severity) => [severity, findings.filter((each) => each.severity === severity).length] as const,
  )
  const said = counts.filter(([, count]) => count > 0).map(([severity, count]) => `${count} ${severity}`)
  const summary = said.length === 0 ? 'nothing is wrong' : said.join(', ')
  const rest = unchecked.length === 0 ? '' : `; ${unchecked.length} not checked`
  return [...blocks, ...(notes.length > 0 ? [notes.join('\n')] : []), `${summary}${rest}`].join('\n\n')
}
