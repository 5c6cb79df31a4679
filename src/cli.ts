#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { loadConfig } from './cli/config-file.js'
import { EXIT_CODES } from './cli/exit-codes.js'
import { SIGNALS } from './cli/interruption.js'
import { isLostConnection } from './cli/lost-connection.js'
import { main } from './cli/main.js'
import type { Output } from './cli/world.js'
import { systemClock } from './core/clock.js'

process.on('uncaughtException', (error) => {
  if (isLostConnection(error)) return
  process.stderr.write(`corral: ${error.stack ?? String(error)}\n`)
  process.exit(EXIT_CODES.failed.code)
})
// Who has stopped reading what is printed, as `head` does, has not asked for the end: what is under way is done, and the exit code says how.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const exitCode = await main(process.argv.slice(2), {
  out: process.stdout,
  err: process.stderr,
  cwd: process.cwd(),
  env: process.env,
  clock: systemClock,
  load: loadConfig,
  signals: {
    listen: (listener) => {
      for (const name of SIGNALS) process.on(name, listener)
      return () => {
        for (const name of SIGNALS) process.off(name, listener)
      }
    },
    exit: (code) => process.exit(code),
  },
  version,
})
// It has ended in good order: a signal that comes late, as npx passes on a second one, is not to make it look otherwise.
for (const name of SIGNALS) process.on(name, () => {})
// What the config has opened besides must not keep the process; what was printed must have left it first.
await Promise.all(
  [process.stdout, process.stderr].map(
    (output: Output) =>
      new Promise<void>((done) => {
        ;(output as NodeJS.WriteStream).write('', () => done())
      }),
  ),
)
process.exit(exitCode)
