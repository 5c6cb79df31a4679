import { Command } from 'commander'
import { readEpoch } from '../../adapters/postgres/durability.js'
import { type CommandFrame, withCommonOptions } from '../command-frame.js'
import { UsageError } from '../usage-error.js'

export function epochCommand(frame: CommandFrame): Command {
  const bump = new Command('bump')
    .description(
      'Makes everything that is cached in the namespace a miss, in every process. What follows is a load for every key that is read: see the runbook of a stampede.',
    )
    .option('--yes', 'do it; without, nothing is done')
    .action(
      frame.action(async ({ corral, inside }, _, { yes }) => {
        if (yes !== true) {
          throw new UsageError(`this makes every entry of namespace ${inside.namespace} a miss; add --yes to do it`)
        }
        const fence = await corral.bumpEpoch()
        const number = await readEpoch(inside.db, inside.namespace)
        const said = fence === 'fenced' ? '' : '. Redis did not answer; relays tell it as soon as it does'
        return {
          json: { namespace: inside.namespace, epoch: number, fence },
          text: `epoch of ${inside.namespace} is ${number}${said}`,
          exit: fence === 'fenced' ? 'done' : 'unavailable',
        }
      }),
    )
  return new Command('epoch')
    .description("The namespace's epoch.")
    .showHelpAfterError('(options go behind the command: corral epoch bump --json)')
    .addCommand(withCommonOptions(bump))
}
