import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { TestProject } from 'vitest/node'
import manifest from '../../package.json' with { type: 'json' }
import type { PackedPackage } from './packed.js'

declare module 'vitest' {
  interface ProvidedContext {
    packed: PackedPackage | { readonly failure: string }
  }
}

/** What a user of TypeScript has beside them. */
const TYPES = ['@types/pg', '@types/node']

/**
 * Builds and packs the package the way a release does, and sets up a project that uses it. When that fails, the tests
 * of the package do, with the reason; those of other projects run.
 */
export default function setup(project: TestProject): () => void {
  // The real path: what Node says it has loaded is compared with it.
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'corral-package-')))
  try {
    project.provide('packed', pack(folder))
  } catch (error) {
    project.provide('packed', { failure: (error as Error).message })
  }
  return () => rmSync(folder, { recursive: true, force: true })
}

function pack(folder: string): PackedPackage {
  // `prepack` builds. Nothing is fetched, so npm's cache can be anywhere it may write to.
  run('npm', ['pack', '--pack-destination', folder, '--cache', join(folder, 'npm-cache'), '--loglevel=error'])
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '')
  const consumer = join(folder, 'consumer')
  install(tarball, consumer)
  return { tarball, consumer }
}

/**
 * What `npm install` does with a tarball that has no install scripts, without needing the registry: unpacks it, and
 * puts its dependencies and peers beside it, here as links to those this repository has.
 */
function install(tarball: string, consumer: string): void {
  const modules = join(consumer, 'node_modules')
  mkdirSync(join(modules, manifest.name), { recursive: true })
  run('tar', ['-xzf', tarball, '-C', join(modules, manifest.name), '--strip-components=1'])
  for (const name of [...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }), ...TYPES]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(resolve('node_modules', name), join(modules, name), 'dir')
  }
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
}

function run(program: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (status === 0) return
  throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? (stderr.trim() || stdout)}`)
}
