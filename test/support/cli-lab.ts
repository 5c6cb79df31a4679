import type { SignalName } from '../../src/cli/interruption.js'
import { main } from '../../src/cli/main.js'
import type { World } from '../../src/cli/world.js'
import type { Corral } from '../../src/client.js'
import { systemClock } from '../../src/core/clock.js'
import { type Inside, insideOf } from '../../src/inside.js'

/** How a command line ended. */
export interface CliRun {
  readonly exitCode: number
  readonly out: string
  readonly err: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever the command has printed
  readonly json: any
}

export interface CliProcess {
  readonly ended: Promise<CliRun>
  /** What it has printed so far. */
  out(): string
  err(): string
  send(name: SignalName): void
}

/** A command line in this process, over an instance that a config would export. The command closes it. */
export function startCli(
  // biome-ignore lint/suspicious/noExplicitAny: any database will do
  corral: Corral<any>,
  args: readonly string[],
  options: { isTTY?: boolean; cwd?: string } & Partial<Pick<World, 'clock' | 'env'>> = {},
): CliProcess {
  let out = ''
  let err = ''
  const listeners = new Set<(name: SignalName) => void>()
  const { isTTY = false, cwd = process.cwd(), clock = systemClock, env = {} } = options
  const code = main(args, {
    out: {
      write: (text) => {
        out += text
      },
    },
    err: {
      write: (text) => {
        err += text
      },
      isTTY,
      columns: 200,
    },
    ...{ cwd, clock, env, version: '0.0.0-test' },
    signals: {
      listen: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
      exit: () => {},
    },
    load: async () => ({ file: 'corral.config.ts', corral, inside: insideOf(corral) as Inside }),
  })
  return {
    ended: code.then((exitCode) => ({
      exitCode,
      out,
      err,
      json: args.includes('--json') ? JSON.parse(out) : undefined,
    })),
    out: () => out,
    err: () => err,
    send: (name) => {
      for (const listener of listeners) listener(name)
    },
  }
}

export function runCli(...call: Parameters<typeof startCli>): Promise<CliRun> {
  return startCli(...call).ended
}
