import { Command } from 'commander'
import type { ExplainedEntry, Explanation } from '../../table/explain.js'
import type { CommandFrame } from '../command-frame.js'
import { chooseRepository, idFrom } from '../repository-choice.js'
import { textTable } from '../text-table.js'

export function explainCommand(frame: CommandFrame): Command {
  return new Command('explain')
    .description(
      'Shows what every place that may hold a copy of a row holds, and whether it differs from the row: ends with 1 if a reader would be shown one that does. Memory is that of this process, which holds a row only if the config has read it. Values are compared, never shown.',
    )
    .argument('<repository>', "the table, as the application's repository calls it")
    .argument('<id>', 'the key; of a key of several columns an object in JSON')
    .action(
      frame.action(async ({ inside }, [name = '', id = '']) => {
        const choice = chooseRepository(inside, name)
        const explanation = await choice.repository.explain(idFrom(choice, id))
        const { l1, l2, copies } = explanation
        // What no reader would be shown does not count.
        const drifted = (l1.trusted && l1.drift) || [l2, ...copies.map(({ entry }) => entry)].some(isDriftShown)
        const isAway = l2.state === 'unavailable'
        const exit = drifted ? 'found' : isAway ? 'unavailable' : 'done'
        return { json: explanation, text: explanationText(explanation), exit }
      }),
    )
}

function isDriftShown(entry: ExplainedEntry): boolean {
  return entry.state === 'held' && entry.drift && ['fresh', 'early', 'stale'].includes(entry.verdict)
}

export function explanationText(explanation: Explanation): string {
  const { key, database, l1, l2, fence, lease, failure, floor, copies } = explanation
  const rows = [
    ['row', database.exists ? `version ${database.version ?? 'none'}` : 'does not exist'],
    ...(l1.held ? [['memory', memoryText(l1)]] : []),
    ['cache', entryText(l2)],
    // Of a cache that does not answer nobody knows.
    ...(l2.state === 'unavailable'
      ? []
      : [
          ['fence', fence ?? 'none'],
          ['lease', lease ? `held for another ${lease.remainingMs} ms` : 'none'],
        ]),
    ...(failure === null ? [] : [['last load', `failed with ${failure}`]]),
    ...(floor === null ? [] : [['floor', floor.version]]),
    ...copies.map((copy, at) => [`copy ${at}`, entryText(copy.entry)]),
  ]
  return `${key}\n${textTable(rows)}`
}

function memoryText({ trusted, version, freshForMs, drift }: Explanation['l1']): string {
  const age = `${trusted ? '' : 'not trusted now, '}fresh for ${freshForMs} ms`
  return `version ${version ?? 'none'}, ${age}${drift ? ', DIFFERS FROM THE ROW' : ''}`
}

function entryText(entry: ExplainedEntry): string {
  switch (entry.state) {
    case 'nothing':
      return 'nothing'
    case 'unavailable':
      return 'does not answer'
    case 'unreadable':
      return `unreadable: ${entry.reason}`
    case 'held': {
      const what = entry.kind === 'absent' ? 'that there is no row' : `version ${entry.version ?? 'none'}`
      const age = `${entry.verdict}, ${entry.ageMs} ms old, fresh for ${entry.freshForMs} ms`
      return `${what}, ${age}${entry.drift ? ', DIFFERS FROM THE ROW' : ''}`
    }
  }
}
