import { Command, InvalidArgumentError, Option } from 'commander'
import type { CommandContext, CommandFrame, CommandResult, Options } from '../command-frame.js'
import { quoted } from '../command-words.js'
import { idLines } from '../id-lines.js'
import { runLongWork } from '../long-work.js'
import { chooseRepository, idFrom } from '../repository-choice.js'
import { UsageError } from '../usage-error.js'
import { wholeNumber } from '../whole-number.js'

export function rebuildCommand(frame: CommandFrame): Command {
  return new Command('rebuild')
    .description(
      'After an incident: drops every copy that was filled before it ended, or replaces it by what the database has, at a bounded rate and by the leases that readers use.',
    )
    .argument(
      '[repositories...]',
      "tables, as the application's repositories call them; default: all that the namespace has in the cache",
    )
    .addOption(
      new Option('--mode <mode>', 'drop copies, or load cached rows and replace them')
        .choices(['evict', 'refill'])
        .makeOptionMandatory(),
    )
    .option(
      '--since <time>',
      'copies that were filled since then stay: an ISO time by the clock of Redis; default: now',
      time,
    )
    .option('--id <id...>', 'only rows with these ids, of one repository; of keys of several columns objects in JSON')
    .addOption(
      new Option('--from <file>', 'only rows with the ids in a file, one a line, of one repository').conflicts('id'),
    )
    .option('--rate <copies>', 'copies dropped or replaced a second at most', wholeNumber(1, 1_000_000), 500)
    .option('--after <cursor>', 'go on behind the cursor of an earlier run with the same options')
    .option('--state <file>', 'keep the cursor in this file; if it is there already, go on from it')
    .action(frame.action(rebuild))
}

async function rebuild(context: CommandContext, names: readonly string[], options: Options): Promise<CommandResult> {
  const { world, corral, inside, signal, progress } = context
  const { mode, since, id, from } = options as { mode: 'evict' | 'refill'; since?: Date; id?: string[]; from?: string }
  const choices = names.map((name) => chooseRepository(inside, name))
  const given = from === undefined ? id : idLines(world.cwd, from)
  const [only] = choices
  if (given !== undefined && (only === undefined || choices.length > 1)) {
    throw new UsageError('--id and --from are of exactly one repository')
  }
  const words = [
    ...names.map(quoted),
    `--mode ${mode}`,
    ...(since === undefined ? [] : [`--since ${since.toISOString()}`]),
    ...(from === undefined ? [] : [`--from ${quoted(from)}`]),
    ...(id === undefined ? [] : [`--id ${id.map(quoted).join(' ')}`]),
  ]
  const summary = await runLongWork(context, options, ['corral rebuild', ...words].join(' '), ({ after, reached }) =>
    corral.rebuild({
      mode,
      ...(names.length === 0 ? {} : { repositories: names }),
      ...(only === undefined || given === undefined ? {} : { ids: given.map((text) => idFrom(only, text)) }),
      ...(since === undefined ? {} : { since }),
      ...{ ratePerSecond: options.rate as number, signal },
      ...(after === undefined ? {} : { after }),
      onProgress: (now) => {
        reached(now.cursor)
        progress.show({ ...now, note: `${now.refilled} replaced, ${now.evicted} dropped` })
      },
    }),
  )
  const { done, refilled, evicted, skipped } = summary
  return {
    json: summary,
    text: `${done} copies: ${refilled} replaced, ${evicted} dropped, ${skipped} left as they were`,
  }
}

function time(text: string): Date {
  const found = new Date(text)
  if (/^\d{4}-\d{2}-\d{2}T/.test(text) && !Number.isNaN(found.getTime())) return found
  throw new InvalidArgumentError('expected an ISO time, such as 2026-05-01T12:00:00Z')
}
