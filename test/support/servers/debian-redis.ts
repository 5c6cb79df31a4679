import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, runCommand } from './command.js'
import { cachedDownload, readableByServers } from './download-cache.js'

/** An unpacked Redis: where its programs are, and the LD_LIBRARY_PATH they run with. */
export interface UnpackedRedis {
  readonly folder: string
  readonly libraries: string
}

/**
 * Fetches Redis from the machine's own Debian or Ubuntu packages and unpacks it into the cache, without installing
 * anything and without root. Rejects where there is no apt, or where apt cannot get at the packages.
 */
export async function unpackDebianRedis(): Promise<UnpackedRedis> {
  const missing = ['apt-get', 'apt-cache', 'dpkg', 'dpkg-query'].find((program) => findProgram(program) === undefined)
  if (missing !== undefined) throw new Error(`this machine has no ${missing}`)
  const cached = await cachedDownload(`redis-${distribution()}-${process.arch}`, async (folder) => {
    const packages = join(folder, 'packages')
    mkdirSync(packages)
    await downloadPackages(packages)
    for (const archive of readdirSync(packages).filter((name) => name.endsWith('.deb'))) {
      await runCommand('dpkg', ['-x', join(packages, archive), folder])
    }
    rmSync(packages, { recursive: true })
  })
  const root = readableByServers(cached)
  return { folder: join(root, 'usr', 'bin'), libraries: libraryFolders(root).join(':') }
}

/** Downloads with the machine's package lists, or with private ones where it has none or they are out of date. */
async function downloadPackages(folder: string): Promise<void> {
  try {
    await downloadWith([], folder)
  } catch {
    const lists = await privateLists(join(folder, 'apt'))
    await downloadWith(lists, folder)
  }
}

async function downloadWith(apt: readonly string[], folder: string): Promise<void> {
  const wanted = await packagesToUnpack(apt)
  await runCommand('apt-get', [...apt, 'download', ...wanted], { cwd: folder })
}

/** Makes package lists of our own; returns the options that have apt use them. An ordinary user may not touch the machine's. */
async function privateLists(folder: string): Promise<string[]> {
  mkdirSync(join(folder, 'lists', 'partial'), { recursive: true })
  mkdirSync(join(folder, 'cache', 'archives', 'partial'), { recursive: true })
  const options = [
    `-oDir::State::Lists=${join(folder, 'lists')}`,
    `-oDir::Cache=${join(folder, 'cache')}`,
    '-oDebug::NoLocking=1',
    // Root's apt would drop to an account that cannot get into a private folder.
    `-oAPT::Sandbox::User=${process.getuid?.() === 0 ? 'root' : ''}`,
  ]
  await runCommand('apt-get', [...options, 'update'])
  return options
}

/**
 * redis-server, and of everything it depends upon what belongs to Redis or is a library this machine lacks: the rest
 * (adduser, the C library, service scripts) is for installing it, or here already.
 */
async function packagesToUnpack(apt: readonly string[]): Promise<string[]> {
  const wanted = new Set<string>()
  const open = ['redis-server']
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (wanted.has(name)) continue
    wanted.add(name)
    for (const needed of await dependenciesOf(name, apt)) {
      const isRedis = needed.startsWith('redis') || needed.startsWith('valkey')
      if (isRedis || (needed.startsWith('lib') && !(await isInstalled(needed)))) open.push(needed)
    }
  }
  return [...wanted]
}

async function dependenciesOf(name: string, apt: readonly string[]): Promise<string[]> {
  const printed = await runCommand('apt-cache', [...apt, 'depends', '--important', name])
  const dependencies = [...printed.matchAll(/^\s+(?:Pre)?Depends: ([^<\s]+)$/gm)].map((match) => match[1] ?? '')
  if (dependencies.length === 0 && name === 'redis-server') throw new Error('apt knows no package redis-server')
  return dependencies
}

async function isInstalled(name: string): Promise<boolean> {
  try {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format language
    return (await runCommand('dpkg-query', ['-W', '-f', '${db:Status-Status}', name])).startsWith('installed')
  } catch {
    return false
  }
}

/** Every folder below usr/lib and lib that holds a shared library. */
function libraryFolders(root: string): string[] {
  return ['usr/lib', 'lib']
    .map((name) => join(root, name))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => /\.so(\.|$)/.test(entry.name))
    .map((entry) => entry.parentPath)
    .filter((folder, position, all) => all.indexOf(folder) === position)
}

/** Such as `debian-12`: packages of one release need that release's C library. */
function distribution(): string {
  const release = readFileSync('/etc/os-release', 'utf8')
  const value = (key: string): string => new RegExp(`^${key}="?([^"\n]*)`, 'm').exec(release)?.[1] ?? 'unknown'
  return `${value('ID')}-${value('VERSION_ID')}`
}
