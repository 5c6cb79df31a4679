/**
 * `node scripts/run.mjs <program.ts> [arguments]`: installs what is missing, then runs a program of this repository from its TypeScript.
 *
 * Exits as the program does. It hands on the signals that end it, so that the program can stop the servers it has started.
 */
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureInstall } from './ensure-install.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const [program, ...args] = process.argv.slice(2)

if (program === undefined) {
  console.error('usage: node scripts/run.mjs <program.ts> [arguments]')
  process.exitCode = 2
} else {
  try {
    ensureInstall()
    run(program)
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}

function run(program) {
  // By its full path: the program may be asked for from another folder, and Node would look for tsx there.
  const tsx = import.meta.resolve('tsx')
  const child = spawn(process.execPath, ['--import', tsx, join(ROOT, program), ...args], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // From a terminal Ctrl-C reaches the program by itself; a second one does it no harm.
    process.on(signal, () => child.kill(signal))
  }
  child.on('error', (error) => {
    console.error(`${program} could not be started: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}
