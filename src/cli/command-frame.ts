import type { Command } from 'commander'
import type { Clock } from '../core/clock.js'
import type { Inside } from '../inside.js'
import { mannerOf } from './command-words.js'
import type { AnyCorral, LoadedConfig } from './config-file.js'
import { EXIT_CODES, type ExitName, exitOf } from './exit-codes.js'
import { heedSignals, Interrupted } from './interruption.js'
import { ProgressBar } from './progress-bar.js'
import { reasonOf } from './reason-of.js'
import type { World } from './world.js'

/** What a command is given. */
export interface CommandContext {
  readonly world: World
  readonly corral: AnyCorral
  readonly inside: Inside
  /** Aborted by Ctrl-C, with the error to end with. */
  readonly signal: AbortSignal
  readonly progress: ProgressBar
  readonly isJson: boolean
  /** The words of the command line that say how the work is done and by which config, and not what it is. */
  readonly manner: string
}

/** What a command has to say at its end. */
export interface CommandResult {
  /** Printed with `--json`, as one document. */
  readonly json: unknown
  /** On one line, as the last of those that were printed before. Default: indented. */
  readonly isLine?: boolean
  /** Printed without, one line or several, no newline at the end. Empty: nothing is. */
  readonly text: string
  /** Default: `done`. */
  readonly exit?: ExitName
}

/** How long closing may take before the process ends anyway. */
const CLOSE_LIMIT_MS = 5_000
/** How long a command may go on after it was interrupted. */
const END_LIMIT_MS = 10_000

export type Options = Readonly<Record<string, unknown>>
type Act = (context: CommandContext, args: readonly string[], options: Options) => Promise<CommandResult>

/** What every command takes besides its own. */
export function withCommonOptions(command: Command): Command {
  return command
    .option(
      '-c, --config <file>',
      'the config file; default: corral.config.ts, .mts, .cts, .js, .mjs or .cjs in this folder',
    )
    .option('--json', 'print one JSON document to stdout, whatever happens')
}

/** Runs commands in their world, and remembers how the last one ended. */
export class CommandFrame {
  readonly #world: World
  exitCode: number = EXIT_CODES.done.code

  constructor(world: World) {
    this.#world = world
  }

  /** An action for commander: loads the config, runs `act`, says what came of it, closes what is open. */
  action(act: Act) {
    return async (...call: unknown[]): Promise<void> => {
      const command = call.at(-1) as Command
      const options = command.opts() as Options
      const args = call
        .slice(0, -2)
        .flat()
        .filter((arg) => arg !== undefined) as string[]
      await this.#run(act, args, options, mannerOf(command))
    }
  }

  async #run(act: Act, args: readonly string[], options: Options, manner: string): Promise<void> {
    const { out, err, clock, cwd } = this.#world
    const isJson = options.json === true
    const { signal, stop } = heedSignals(this.#world.signals, clock)
    const progress = new ProgressBar(err, clock)
    let config: LoadedConfig | undefined
    try {
      config = await this.#world.load(cwd, options.config as string | undefined)
      // Made before the config was loaded, as by a test: none of the fleet that relays, either.
      await config.inside.assembly.relay?.close()
      const { corral, inside } = config
      const ended = await untilAborted(
        act({ world: this.#world, corral, inside, signal, progress, isJson, manner }, args, options),
        signal,
        clock,
      )
      progress.clear()
      if (isJson) out.write(`${JSON.stringify(ended.json, plain, ended.isLine ? 0 : 2)}\n`)
      else if (ended.text !== '') out.write(`${ended.text}\n`)
      this.exitCode = EXIT_CODES[ended.exit ?? 'done'].code
    } catch (error) {
      progress.clear()
      this.#fail(error, isJson)
    } finally {
      if (config) await this.#close(config)
      stop()
    }
  }

  #fail(error: unknown, isJson: boolean): void {
    const { out, err } = this.#world
    const exit = exitOf(error)
    const { code, message, stack } = error as { code?: unknown; message?: string; stack?: string }
    this.exitCode = EXIT_CODES[exit].code
    const resume = error instanceof Interrupted ? error.resume : undefined
    if (isJson) out.write(`${JSON.stringify({ error: { exit, code, message, ...resume } }, plain, 2)}\n`)
    err.write(`corral: ${exit === 'failed' ? (stack ?? String(error)) : reasonOf(error)}\n`)
    if (resume) err.write(`Go on with: ${resume.goOnWith}\n`)
  }

  /** The application's connections, too: this process is its config's. A server that does not answer must not keep it. */
  async #close({ corral, inside }: LoadedConfig): Promise<void> {
    const closing = async () => {
      await corral.close()
      ;(inside.redis as { disconnect?(): void } | undefined)?.disconnect?.()
      await Promise.all([inside.db.destroy(), inside.replica?.db?.destroy()])
    }
    const late = new AbortController()
    const limit = this.#world.clock.sleep(CLOSE_LIMIT_MS, late.signal)
    await Promise.race([closing(), limit]).catch(() => {})
    late.abort()
    await limit.catch(() => {})
  }
}

/**
 * A command that looks at the signal saves what it has and ends by itself. One that does not is left behind; it has nothing to save.
 */
function untilAborted<Value>(work: Promise<Value>, signal: AbortSignal, clock: Clock): Promise<Value> {
  const given = new Promise<never>((_, reject) => {
    const onAbort = async () => {
      await Promise.race([work, clock.sleep(END_LIMIT_MS)]).catch(() => {})
      reject(signal.reason)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  return Promise.race([work, given])
}

/** Whole numbers beyond what JSON readers hold are written as text. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
