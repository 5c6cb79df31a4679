import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { OpenPeer, PeerModule, PeerSetup, Tiers } from '../peers/peer.js'
import type { Setting } from './scenario.js'

/** What Corral is measured against: one file each in bench/peers, which is a package of its own. */
export const PEERS = [
  'bentocache',
  'cachified',
  'cacheable',
  'cache-manager',
  'async-cache-dedupe',
  'layered-loader',
] as const

/** Travels to the worker processes. */
export interface PeerChoice {
  readonly name: string
  readonly tiers: Tiers
  /** How long a command may wait for Redis. Default 5 000: a busy machine is no outage. */
  readonly deadlineMs?: number
}

/** Peers that take part, and why the others do not. */
export interface Invited {
  readonly peers: readonly PeerChoice[]
  readonly cannot: Readonly<Record<string, string>>
}

/**
 * Sets each peer up with the first of `wanted` that it can do. Nobody is invited to a quick run.
 *
 * Installs the peers when they are not there or are others than the lock file says.
 */
export async function invitePeers(wanted: readonly Tiers[], { quick, peers, note }: Setting): Promise<Invited> {
  if (quick || !peers) return { peers: [], cannot: {} }
  installPeers(note)
  const invited: PeerChoice[] = []
  const cannot: Record<string, string> = {}
  for (const name of PEERS) {
    const tiers = await firstTiers(name, wanted)
    if (tiers === undefined) cannot[name] = `has no set-up with ${wanted.map((tiers) => NEED[tiers]).join(' or ')}`
    else invited.push({ name, tiers })
  }
  return { peers: invited, cannot }
}

const NEED: Record<Tiers, string> = {
  memory: 'memory alone',
  redis: 'Redis alone',
  both: 'memory before Redis, kept in step between processes',
}

/** The first of `wanted` that the peer can do. Undefined: none of them. */
export async function firstTiers(name: string, wanted: readonly Tiers[]): Promise<Tiers | undefined> {
  const { tiers: able } = await peerModule(name)
  return wanted.find((tiers) => able.includes(tiers))
}

export async function openPeer(name: string, setup: PeerSetup): Promise<OpenPeer> {
  return (await peerModule(name)).open(setup)
}

async function peerModule(name: string): Promise<PeerModule> {
  return (await import(pathToFileURL(join(peersFolder(), `${name}.js`)).href)) as PeerModule
}

/** This file may run where it was written or where it was built; both lie inside the package. */
function peersFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'bench/peers/package.json'))) return join(folder, 'bench/peers')
    if (folder === dirname(folder)) throw new Error('bench/peers is missing')
  }
}

function installPeers(note: (line: string) => void): void {
  const folder = peersFolder()
  const wanted = readPackages(join(folder, 'package-lock.json')) ?? {}
  const found = readPackages(join(folder, 'node_modules/.package-lock.json')) ?? {}
  const isInstalled = Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || found[path]?.version === version,
  )
  if (isInstalled) return
  note('installing the peers: npm ci --prefix bench/peers')
  const { status } = spawnSync('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status === 0) return
  throw new Error(
    'the peers could not be installed; run `npm ci --prefix bench/peers` to see why, or leave them out: --no-peers',
  )
}

function readPackages(file: string): Record<string, { version?: string; optional?: boolean }> | undefined {
  if (!existsSync(file)) return undefined
  return (JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, { version?: string }> }).packages
}
