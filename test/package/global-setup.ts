import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { TestProject } from 'vitest/node'
import manifest from '../../package.json' with { type: 'json' }

/** Where the packed package is, for the tests of it. */
export interface PackedPackage {
  readonly tarball: string
  /** A project of a user: the package as npm would install it, beside what it declares, and nothing else. */
  readonly consumer: string
}

declare module 'vitest' {
  interface ProvidedContext {
    packed: PackedPackage
  }
}

/** Builds and packs the package the way a release does, and sets up a project that uses it. */
export default function setup(project: TestProject): () => void {
  // The real path: what Node says it has loaded is compared with it.
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'corral-package-')))
  // `prepack` builds.
  run('npm', ['pack', '--pack-destination', folder, '--loglevel=error'])
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '')
  const consumer = join(folder, 'consumer')
  install(tarball, consumer)
  project.provide('packed', { tarball, consumer })
  return () => rmSync(folder, { recursive: true, force: true })
}

/**
 * What `npm install` does with a tarball that has no install scripts, without needing the registry: unpacks it, and
 * puts its dependencies and peers beside it, here as links to those this repository has.
 */
function install(tarball: string, consumer: string): void {
  const modules = join(consumer, 'node_modules')
  mkdirSync(join(modules, manifest.name), { recursive: true })
  run('tar', ['-xzf', tarball, '-C', join(modules, manifest.name), '--strip-components=1'])
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(resolve('node_modules', name), join(modules, name), 'dir')
  }
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
}

function run(program: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (status === 0) return
  throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? `${stdout}\n${stderr}`}`)
}
