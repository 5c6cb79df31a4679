import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { sql } from 'kysely'
import type { RepositoryInside } from '../../inside.js'
import type { WarmProgress, WarmUpSource } from '../../table/warm-up.js'
import type { CommandContext, CommandFrame, CommandResult, Options } from '../command-frame.js'
import { Interrupted } from '../interruption.js'
import { chooseRepository, idFrom } from '../repository-choice.js'
import { StateFile } from '../state-file.js'
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
    .option('--concurrency <keys>', 'keys looked at, loaded and stored together', wholeNumber(1, 10_000), 50)
    .option('--limit <rows>', 'rows at most; default: all, with --recent 10000', wholeNumber(1, 1_000_000_000))
    .option('--after <cursor>', 'go on behind the cursor of an earlier run with the same source')
    .option('--state <file>', 'keep the cursor in this file; if it is there already, go on from it')
    .action(frame.action((context, [name = '', ...ids], options) => warm(context, name, ids, options)))
}

async function warm(context: CommandContext, name: string, ids: string[], options: Options): Promise<CommandResult> {
  const { world, inside, signal, progress } = context
  const choice = chooseRepository(inside, name)
  const { source, words } = sourceOf(context, choice, ids, options)
  const work = ['corral warm', name, ...words].join(' ')
  const state = options.state === undefined ? undefined : new StateFile(world.cwd, String(options.state), work)
  const after = (options.after as string | undefined) ?? state?.read()
  let last: WarmProgress | undefined
  try {
    const summary = await choice.repository.warm(source, {
      ratePerSecond: options.rate as number,
      concurrency: options.concurrency as number,
      ...(options.limit === undefined ? {} : { limit: options.limit as number }),
      ...(after === undefined ? {} : { after }),
      signal,
      onProgress: (reached) => {
        last = reached
        if (reached.cursor !== undefined) state?.write(reached.cursor)
        progress.show({
          ...reached,
          note: `${reached.filled} filled, ${reached.skipped} cached, ${reached.failed} failed`,
        })
      },
    })
    state?.remove()
    const { done, filled, skipped, failed } = summary
    return {
      json: summary,
      text: `${done} rows of ${name}: ${filled} filled, ${skipped} cached already, ${failed} failed`,
      exit: failed > 0 ? 'found' : 'done',
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    const cursor = last?.cursor ?? after
    const goOn =
      options.state === undefined ? (cursor === undefined ? '' : ` --after '${cursor}'`) : ` --state ${options.state}`
    throw new Interrupted(error.signalName, { goOnWith: `${work}${goOn}`, cursor })
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
  if (query !== undefined)
    return source(() => sql.raw(`(${query.replace(/;\s*$/, '')})`), '--query', JSON.stringify(query))
  if (from !== undefined) return source(idsOf(linesOf(resolve(world.cwd, from))), '--from', from)
  if (given.length === 0) throw new UsageError('nothing to warm: give ids, --recent, --query or --from')
  return source(idsOf(given), ...given.map((id) => (/^[\w.-]+$/.test(id) ? id : `'${id}'`)))
}

function linesOf(file: string): string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`--from: ${(error as Error).message}`)
  }
  return text.split(/\r?\n/).filter((line) => line !== '')
}
