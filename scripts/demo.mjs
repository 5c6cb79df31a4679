/**
 * `npm run demo`: installs what is missing, then runs the demonstration, which starts its own servers.
 * Exits with the demonstration's code. Arguments are passed on: npm run demo -- --help
 */
import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureInstall } from './ensure-install.mjs'

ensureInstall()
const { status } = spawnSync(process.execPath, ['--import', 'tsx', 'bench/demo/main.ts', ...process.argv.slice(2)], {
  cwd: dirname(dirname(fileURLToPath(import.meta.url))),
  stdio: 'inherit',
})
process.exitCode = status ?? 1
