import { Command, Option } from 'commander'
import { sql } from 'kysely'
import type { RepositoryInside } from '../../inside.js'
import type { WarmUpSource } from '../../table/warm-up.js'
import type { CommandContext, CommandFrame, CommandResult, Options } from '../command-frame.js'
import { quoted } from '../command-words.js'
import { idLines } from '../id-lines.js'
import { runLongWork } from '../long-work.js'
import { chooseRepository, idFrom } from '../repository-choice.js'
import { UsageError } from '../usage-error.js'
import { wholeNumber } from '../whole-number.js'

export function warmCommand(frame: CommandFrame): Command {
  return new Command('warm')
    .description(
      'Fills rows ahead of their readers, at a bounded rate and by the leases that readers use: no key is loaded twice. Exits with 1 when rows failed.',
    )
    .argument('<repository>', "the table, as the application's repository calls it")
    .argument('[ids...]', 'keys; of keys of several columns objects in JSON')
    .addOption(new Option('--recent', 'the rows written last').conflicts(['query', 'from']))
    .addOption(new Option('--query <sql>', "a SELECT of the key's columns, sent as it is").conflicts('from'))
    .option('--from <file>', 'a file with one id a line')
    .option('--rate <rows>', 'rows loaded a second at most', wholeNumber(1, 1_000_000), 500)
    .option('--concurrency <keys>', 'keys looked at, loaded and stored together', wholeNumber(1, 1_000), 50)
    .option('--limit <rows>', 'rows at most; default: all, with --recent 10000', wholeNumber(1, 1_000_000_000))
    .option('--after <cursor>', 'go on behind the cursor of an earlier run with the same source')
    .option('--state <file>', 'keep the cursor in this file; if it is there already, go on from it')
    .action(frame.action((context, [name = '', ...ids], options) => warm(context, name, ids, options)))
}

async function warm(context: CommandContext, name: string, ids: string[], options: Options): Promise<CommandResult> {
  const { inside, signal, progress } = context
  const choice = chooseRepository(inside, name)
  const { source, words } = sourceOf(context, choice, ids, options)
  const line = ['corral warm', quoted(name), ...words].join(' ')
  const summary = await runLongWork(context, options, line, ({ after, reached }) =>
    choice.repository.warm(source, {
      ratePerSecond: options.rate as number,
      concurrency: options.concurrency as number,
      ...(options.limit === undefined ? {} : { limit: options.limit as number }),
      ...(after === undefined ? {} : { after }),
      signal,
      onProgress: (now) => {
        reached(now.cursor)
        progress.show({ ...now, note: `${now.filled} filled, ${now.skipped} cached, ${now.failed} failed` })
      },
    }),
  )
  const { done, filled, skipped, failed } = summary
  return {
    json: summary,
    text: `${done} rows of ${name}: ${filled} filled, ${skipped} cached already, ${failed} failed`,
    exit: failed > 0 ? 'found' : 'done',
  }
}

function sourceOf({ world }: CommandContext, choice: RepositoryInside, given: string[], options: Options) {
  const { recent, query, from } = options as { recent?: boolean; query?: string; from?: string }
  if (given.length > 0 && (recent || query !== undefined || from !== undefined)) {
    throw new UsageError('ids cannot be given together with --recent, --query or --from')
  }
  const idsOf = (texts: string[]) => texts.map((text) => idFrom(choice, text))
  const source = (of: WarmUpSource, ...words: string[]) => ({ source: of, words })
  if (recent) return source('recent', '--recent')
  if (query !== undefined) return source(() => sql.raw(`(${query.replace(/;\s*$/, '')})`), '--query', quoted(query))
  if (from !== undefined) return source(idsOf(idLines(world.cwd, from)), '--from', quoted(from))
  if (given.length === 0) throw new UsageError('nothing to warm: give ids, --recent, --query or --from')
  return source(idsOf(given), ...given.map(quoted))
}
