import { type Command, CommanderError } from 'commander'
import { CommandFrame } from './command-frame.js'
import { EXIT_CODES } from './exit-codes.js'
import { corralProgram } from './program.js'
import type { World } from './world.js'

/** Runs one command line. Returns the exit code; never throws, and never ends the process. */
export async function main(args: readonly string[], world: World): Promise<number> {
  const frame = new CommandFrame(world)
  const program = corralProgram(frame, world.version)
  for (const command of withinAll(program)) {
    command
      .exitOverride()
      .configureOutput({ writeOut: (text) => world.out.write(text), writeErr: (text) => world.err.write(text) })
  }
  try {
    await program.parseAsync([...args], { from: 'user' })
    return frame.exitCode
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    // Help and version that were asked for are no errors; commander has printed them.
    if (error.exitCode === 0) return EXIT_CODES.done.code
    if (args.includes('--json'))
      world.out.write(`${JSON.stringify({ error: { exit: 'usage', message: error.message } }, null, 2)}\n`)
    return EXIT_CODES.usage.code
  }
}

function withinAll(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withinAll)]
}
