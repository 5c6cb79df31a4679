import { Command } from 'commander'
import { type CommandFrame, withCommonOptions } from './command-frame.js'
import { aclCommand } from './commands/acl.js'
import { auditCommand } from './commands/audit.js'
import { doctorCommand } from './commands/doctor.js'
import { epochCommand } from './commands/epoch.js'
import { explainCommand } from './commands/explain.js'
import { fenceCommand } from './commands/fence.js'
import { hotKeysCommand } from './commands/hot-keys.js'
import { migrateCommand } from './commands/migrate.js'
import { rebuildCommand } from './commands/rebuild.js'
import { relayCommand } from './commands/relay.js'
import { warmCommand } from './commands/warm.js'

/** The whole command line, as commander knows it. `docs/reference/cli.md` is written from it. */
export function corralProgram(frame: CommandFrame, version: string): Command {
  const program = new Command('corral')
    .description('Looks into, checks and repairs the cache of a service that uses Corral.')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .showHelpAfterError('(add --help for what can be given; options go behind the command: corral doctor --json)')
    .enablePositionalOptions()
  const commands = [
    ...[doctorCommand, explainCommand, hotKeysCommand, fenceCommand, epochCommand],
    ...[auditCommand, rebuildCommand, warmCommand, relayCommand, migrateCommand, aclCommand],
  ]
  for (const command of commands.map((make) => make(frame))) {
    program.addCommand(command.commands.length > 0 ? command : withCommonOptions(command))
  }
  return program
}
