import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

/** A project with one dependency, and a build of another for a machine unlike this one. */
const LOCKED = {
  '': { name: 'project' },
  'node_modules/one': { version: '1.0.0', integrity: 'sha512-one' },
  'node_modules/elsewhere': { version: '1.0.0', integrity: 'sha512-else', os: ['nowhere'], optional: true },
}
const INSTALLED = { 'node_modules/one': LOCKED['node_modules/one'] }

let project: string
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'ensure-install-'))
  mkdirSync(join(project, 'scripts'))
  copyFileSync('scripts/ensure-install.mjs', join(project, 'scripts', 'ensure-install.mjs'))
  writeFileSync(join(project, 'package-lock.json'), JSON.stringify({ packages: LOCKED }))
})
afterEach(() => rmSync(project, { recursive: true }))

function installed(packages: object): void {
  mkdirSync(join(project, 'node_modules'))
  writeFileSync(join(project, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }))
}

/** Runs the script with an npm that only writes down how it was called. */
function ensureInstall({ npmCode = 0 } = {}): { npm: string; status: number | null; said: string } {
  const bin = join(project, 'bin')
  const calls = join(project, 'calls')
  mkdirSync(bin)
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\necho "$1 $2" > ${calls}\nexit ${npmCode}\n`, { mode: 0o755 })
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(project, 'scripts', 'ensure-install.mjs')], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  })
  return { npm: existsSync(calls) ? readFileSync(calls, 'utf8').trim() : 'not called', status, said: stdout + stderr }
}

test('does nothing when everything for this machine is installed', () => {
  installed(INSTALLED)
  expect(ensureInstall()).toEqual({ npm: 'not called', status: 0, said: '' })
})

test('installs, without scripts, when nothing is', () => {
  expect(ensureInstall()).toMatchObject({ npm: 'ci --ignore-scripts', status: 0 })
})

test.each([
  ['a package is missing', {}, 'node_modules/one is missing'],
  [
    'a version is another',
    { 'node_modules/one': { version: '0.9.0', integrity: 'sha512-one' } },
    'node_modules/one is 0.9.0, the lock file says 1.0.0',
  ],
  [
    'a build is another',
    { 'node_modules/one': { version: '1.0.0', integrity: 'sha512-other' } },
    'node_modules/one is not the build that the lock file names',
  ],
])('installs, and says why, when %s', (_, packages, reason) => {
  installed(packages)
  const { npm, said } = ensureInstall()
  expect(npm).toBe('ci --ignore-scripts')
  expect(said).toContain(reason)
})

test('fails when npm does, naming the command', () => {
  const { status, said } = ensureInstall({ npmCode: 3 })
  expect(status).toBe(1)
  expect(said).toContain('npm ci --ignore-scripts --no-audit --no-fund failed. Run it by hand to see why.')
})
