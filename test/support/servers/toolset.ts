import { join } from 'node:path'
import { type Account, serverAccount } from './account.js'
import { isExecutable, runCommand } from './command.js'

/** Where a server comes from, in the order in which the places are tried. */
export const ALL_ORIGINS = ['environment', 'machine', 'download', 'docker'] as const
export type Origin = (typeof ALL_ORIGINS)[number]

/** Everything needed to start one program. */
export interface Invocation {
  readonly file: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** Drop to this account first. */
  readonly account: Account | undefined
  /** The container the program runs in, if it runs in one. */
  readonly container: string | undefined
}

/** The programs of one Postgres or Redis installation. */
export interface Toolset {
  readonly origin: Origin
  /** For people: where it is, and which version. */
  readonly description: string
  has(program: string): boolean
  /** How to start `program` with `folder` as the only place it may write to. */
  invocation(program: string, args: readonly string[], folder: string): Invocation
}

/** What a place had to offer: a toolset, or the reason why not. */
export type Finding = Toolset | { readonly reason: string }

/** Programs in a folder of this machine. */
export function localToolset(
  origin: Origin,
  folder: string,
  description: string,
  env: NodeJS.ProcessEnv = {},
): Toolset {
  return {
    origin,
    description,
    has: (program) => isExecutable(join(folder, program)),
    invocation: (program, args) => ({
      file: join(folder, program),
      args,
      env,
      account: serverAccount(),
      container: undefined,
    }),
  }
}

/** Runs one program of the toolset to its end; returns what it printed. */
export function runTool(toolset: Toolset, program: string, args: readonly string[], folder: string): Promise<string> {
  const { file, args: all, env, account } = toolset.invocation(program, args, folder)
  return runCommand(file, all, { cwd: folder, account, env: { PATH: process.env.PATH, LC_ALL: 'C', ...env } })
}

/**
 * Tries the places in order and returns the first toolset. Rejects, when none has one, with every place's reason and
 * the commands that would help.
 */
export async function firstToolset(
  server: string,
  places: readonly (() => Promise<Finding>)[],
  remedies: readonly string[],
): Promise<Toolset> {
  const reasons: string[] = []
  for (const look of places) {
    const found = await look()
    if (!('reason' in found)) return found
    reasons.push(found.reason)
  }
  throw new Error(
    [
      `No ${server} to test with. Tried:`,
      ...reasons.map(indent),
      'Any one of these helps:',
      ...remedies.map(indent),
    ].join('\n'),
  )
}

function indent(line: string): string {
  return `  - ${line}`
}
