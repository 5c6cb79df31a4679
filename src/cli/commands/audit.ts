import { Command, Option } from 'commander'
import type { AuditReport } from '../../table/audit.js'
import type { CommandContext, CommandFrame, CommandResult, Options } from '../command-frame.js'
import { quoted } from '../command-words.js'
import { runLongWork } from '../long-work.js'
import { chooseRepository } from '../repository-choice.js'
import { textTable } from '../text-table.js'
import { wholeNumber } from '../whole-number.js'

export function auditCommand(frame: CommandFrame): Command {
  return new Command('audit')
    .description(
      'Compares cached copies with their rows, at a bounded rate, and looks again at those that differ, so that writes on their way do not count. Exits with 1 when drift is found that is not repaired, or copies cannot be decoded.',
    )
    .argument('[repositories...]', "tables, as the application's repositories call them; default: all")
    .option('--sample <copies>', 'compare about so many, chosen by lot, instead of all', wholeNumber(1, 1_000_000_000))
    .option('--rate <copies>', 'copies compared a second at most', wholeNumber(1, 1_000_000), 1_000)
    .option(
      '--recheck <ms>',
      'how long a copy that differs is given before it counts',
      wholeNumber(1, 3_600_000),
      2_000,
    )
    .addOption(
      new Option('--compare <what>', 'stamps, or whole rows').choices(['versions', 'rows']).default('versions'),
    )
    .option('--repair', 'fence what differs, so that the next reader loads it anew')
    .option('--after <cursor>', 'go on behind the cursor of an earlier run with the same options')
    .option('--state <file>', 'keep the cursor in this file; if it is there already, go on from it')
    .action(frame.action(audit))
}

async function audit(context: CommandContext, names: readonly string[], options: Options): Promise<CommandResult> {
  const { corral, inside, signal, progress } = context
  for (const name of names) chooseRepository(inside, name)
  const { sample, compare, repair } = options as { sample?: number; compare: 'versions' | 'rows'; repair?: boolean }
  const words = [
    ...names.map(quoted),
    ...(compare === 'rows' ? ['--compare rows'] : []),
    ...(repair ? ['--repair'] : []),
  ]
  const report = await runLongWork(context, options, ['corral audit', ...words].join(' '), ({ after, reached }) =>
    corral.audit({
      ...(names.length === 0 ? {} : { repositories: names }),
      ...(sample === undefined ? {} : { sample }),
      ...{
        ratePerSecond: options.rate as number,
        recheckMs: options.recheck as number,
        compare,
        repair: repair === true,
      },
      ...(after === undefined ? {} : { after }),
      signal,
      onProgress: (now) => {
        reached(now.cursor)
        progress.show({ done: now.compared, total: sample, note: `${now.drifted} drifted, ${now.repaired} repaired` })
      },
    }),
  )
  return { json: report, text: reportText(report), exit: isRight(report) ? 'done' : 'found' }
}

/** What nobody could compare is no proof of anything. */
function isRight({ drifted, repaired, undecoded }: AuditReport): boolean {
  return drifted <= repaired && undecoded === 0
}

function reportText({
  compared,
  transient,
  drifted,
  repaired,
  astray,
  skipped,
  undecoded,
  unused,
  kinds,
  ages,
  drifts,
}: AuditReport): string {
  const counts = (figures: Readonly<Record<string, number>>) =>
    Object.entries(figures).flatMap(([name, count]) => (count === 0 ? [] : [`${count} ${AGES[name] ?? name}`]))
  const lines = [
    `${compared} copies compared: ${drifted} drifted, ${repaired} repaired; ${transient} were on their way`,
    ...(skipped + unused === 0 ? [] : [`${skipped} cannot be compared, ${unused} answer nobody`]),
    ...(undecoded === 0
      ? []
      : [`${undecoded} COULD NOT BE DECODED: whether they differ is not known; readers of this config load them anew`]),
    ...(astray === 0
      ? []
      : [`${astray} lookups lead to rows without the value, as updates leave them; reads see that`]),
    ...(drifted === 0 ? [] : [`by kind: ${counts(kinds).join(', ')}`, `by age: ${counts({ ...ages }).join(', ')}`]),
  ]
  if (drifts.length === 0) return lines.join('\n')
  const rows = drifts.map(({ key, kind, place, ageMs, repair }) => [key, kind, place, `${ageMs} ms`, repair])
  return `${lines.join('\n')}\n\n${textTable([['key', 'kind', 'place', 'age', 'repair'], ...rows])}`
}

const AGES: Readonly<Record<string, string>> = {
  upTo10s: 'up to 10 s',
  upTo1min: 'up to 1 min',
  upTo5min: 'up to 5 min',
  upTo1h: 'up to 1 h',
  older: 'older',
}
