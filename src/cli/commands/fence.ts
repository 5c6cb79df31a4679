import { Command } from 'commander'
import type { CommandFrame } from '../command-frame.js'
import { chooseRepository, idFrom } from '../repository-choice.js'

export function fenceCommand(frame: CommandFrame): Command {
  return new Command('fence')
    .description(
      'Drops what is cached of rows that were changed behind the cache, in Redis and in the memory of every process, and cached queries of their table.',
    )
    .argument('<repository>', "the table, as the application's repository calls it")
    .argument('<ids...>', 'keys; of keys of several columns objects in JSON')
    .action(
      frame.action(async ({ corral, inside }, [name = '', ...texts]) => {
        const choice = chooseRepository(inside, name)
        const table = await choice.open()
        const ids = texts.map((text) => idFrom(choice, text))
        // Before anything is fenced: a mistyped id must not leave half of them done.
        for (const id of ids) table.idOf(id)
        const { fence } = await corral.transaction((tx) => tx.touched(name, ids))
        const said =
          fence === 'fenced' ? 'fenced' : 'not fenced: Redis did not answer. Nothing is remembered; run it again'
        return {
          json: { repository: name, ids: texts, fence },
          text: `${texts.length} of ${table.facts.entity}: ${said}`,
          exit: fence === 'fenced' ? 'done' : 'unavailable',
        }
      }),
    )
}
