import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Account } from './account.js'

/** How a program is run to its end. */
export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Run as this account; only root may. */
  readonly account?: Account | undefined
}

/**
 * Runs a program to its end and returns what it printed on standard output.
 * Rejects with the program's last words when it cannot be started or exits with anything but 0.
 */
export function runCommand(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { account, ...rest } = options
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...rest, ...account, stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    let complaint = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text
    })
    child.once('error', (cause) => reject(new Error(`cannot run ${file}: ${cause.message}`, { cause })))
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(printed)
      const ending = signal === null ? `exit code ${code}` : `signal ${signal}`
      reject(new Error(`${[file, ...args].join(' ')} ended with ${ending}: ${lastWords(complaint || printed)}`))
    })
  })
}

/** What is worth reading of a failed program's output: no advertisements, no stack traces, the last lines. */
function lastWords(output: string): string {
  const lines = output.split('\n').filter((line) => !/^npm notice|^(npm error)?\s+at |^(npm error)?\s*$/.test(line))
  return lines.slice(-15).join('\n')
}

/** The full path of a program, looked for in PATH and then in `folders`; undefined when there is none. */
export function findProgram(name: string, folders: readonly string[] = []): string | undefined {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return [...path, ...folders].map((folder) => join(folder, name)).find(isExecutable)
}

/** Whether this process may execute the file. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
