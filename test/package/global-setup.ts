import { execFile } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import manifest from '../../package.json' with { type: 'json' }
import { OUTCOME_FILE, type PackedPackage, type PackOutcome } from './packed.js'

declare module 'vitest' {
  interface ProvidedContext {
    packing: { readonly folder: string }
  }
}

/** What a user of TypeScript has beside them. */
const TYPES = ['@types/pg', '@types/node']

/**
 * Builds and packs the package the way a release does, and sets up a project that uses it. Other projects' tests do not wait for that; those of
 * the package do, and fail with the reason when it fails.
 */
export default function setup(project: TestProject): () => Promise<void> {
  // The real path: what Node says it has loaded is compared with it.
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'corral-package-')))
  project.provide('packing', { folder })
  const packing = pack(folder)
    .catch((error: Error): PackOutcome => ({ failure: error.message }))
    .then((outcome) => leave(folder, outcome))
  return async () => {
    await packing
    rmSync(folder, { recursive: true, force: true })
  }
}

/** In one step, so that nobody reads half of it. */
function leave(folder: string, outcome: PackOutcome): void {
  const file = join(folder, OUTCOME_FILE)
  writeFileSync(`${file}.new`, JSON.stringify(outcome))
  renameSync(`${file}.new`, file)
}

async function pack(folder: string): Promise<PackedPackage> {
  // `prepack` builds. Nothing is fetched, so npm's cache can be anywhere it may write to.
  await run('npm', ['pack', '--pack-destination', folder, '--cache', join(folder, 'npm-cache'), '--loglevel=error'])
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '')
  const consumer = join(folder, 'consumer')
  await install(tarball, consumer)
  return { tarball, consumer }
}

/**
 * What `npm install` does with a tarball that has no install scripts, without needing the registry: unpacks it, and
 * puts its dependencies and peers beside it, here as links to those this repository has.
 */
async function install(tarball: string, consumer: string): Promise<void> {
  const modules = join(consumer, 'node_modules')
  mkdirSync(join(modules, manifest.name), { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', join(modules, manifest.name), '--strip-components=1'])
  for (const name of [...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }), ...TYPES]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(resolve('node_modules', name), join(modules, name), 'dir')
  }
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
}

async function run(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, args).catch((error: Error & { stdout?: string; stderr?: string }) => {
    throw new Error(`${program} ${args.join(' ')} failed: ${error.stderr?.trim() || error.stdout || error.message}`)
  })
}
