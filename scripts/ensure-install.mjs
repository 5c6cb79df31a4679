/**
 * Makes `node_modules` what package-lock.json says: runs `npm ci` when it is absent or stale, else does nothing.
 * Runs before anything is installed, so it may import nothing but Node. Exits with npm's code when npm fails.
 *
 * Usage: node scripts/ensure-install.mjs, or import { ensureInstall }
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** Installs if needed. Throws, naming the command to run by hand, when npm fails. */
export function ensureInstall() {
  const reason = staleness()
  if (reason === undefined) return
  console.log(`Installing dependencies: ${reason}`)
  // Without scripts: none of these packages needs its own, and what does not run cannot fail or surprise.
  const command = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  // The user's own npm cache may spare the download; a user without a home (nobody, some CI accounts) has none.
  const cache = hasHome() ? [] : ['--cache', join(ROOT, '.cache', 'npm')]
  const { status, error } = spawnSync('npm', [...command, ...cache], { cwd: ROOT, stdio: 'inherit' })
  if (status === 0) return
  throw new Error(`npm ${command.join(' ')} failed${error ? `: ${error.message}` : ''}. Run it by hand to see why.`)
}

function hasHome() {
  try {
    accessSync(homedir(), constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Why node_modules is not what the lock file says; undefined when it is. */
function staleness() {
  const installed = readPackages(join(ROOT, 'node_modules', '.package-lock.json'))
  if (installed === undefined) return 'node_modules is not there'
  const locked = readPackages(join(ROOT, 'package-lock.json'))
  if (locked === undefined) return 'package-lock.json cannot be read'
  for (const [path, wanted] of Object.entries(locked)) {
    if (path === '' || !isForThisMachine(wanted)) continue
    const found = installed[path]
    if (found === undefined) return `${path} is missing`
    if (found.version !== wanted.version) return `${path} is ${found.version}, the lock file says ${wanted.version}`
    if (found.integrity !== wanted.integrity) return `${path} is not the build that the lock file names`
  }
  return undefined
}

/** npm leaves out the builds for other machines; a build for one C library only is left to npm to decide. */
function isForThisMachine({ os, cpu, libc, optional }) {
  if (optional !== true) return true
  if (os === undefined && cpu === undefined) return false
  return (
    libc === undefined &&
    (os ?? [process.platform]).includes(process.platform) &&
    (cpu ?? [process.arch]).includes(process.arch)
  )
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return undefined
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    ensureInstall()
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
