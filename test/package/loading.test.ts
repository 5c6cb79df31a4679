import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { packed } from './packed.js'

const { consumer } = await packed()

/** All that importing may load: the drivers are the application's, and some applications have no Redis. */
const MAY_LOAD = ['corral', 'kysely', 'lru-cache', '@opentelemetry/api']

/** Runs before the package: reports what is loaded, and makes looking for a network an error. */
const WATCH = `
const { Module, register } = require('node:module')
const hooks = \`export async function resolve(specifier, context, next) {
  process._rawDebug('loads ' + specifier)
  return next(specifier, context)
}\`
register('data:text/javascript,' + encodeURIComponent(hooks))
const load = Module._load
Module._load = function (specifier, ...rest) {
  process._rawDebug('loads ' + specifier)
  return load.call(this, specifier, ...rest)
}
require('node:net').Socket.prototype.connect = () => {
  throw new Error('connected at import')
}
require('node:dns').lookup = () => {
  throw new Error('looked up a name at import')
}
process.on('exit', () => {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout')
  process._rawDebug('timers left: ' + timers.length)
})
`

beforeAll(() => writeFileSync(join(consumer, 'watch.cjs'), WATCH))

describe.each(['corral', 'corral/migrations', 'corral/testing'])('%s', (door) => {
  test.each([
    ['import', ['--input-type=module', '--eval', `await import('${door}')`]],
    ['require', ['--input-type=commonjs', '--eval', `require('${door}')`]],
  ])('by %s loads no driver, connects to nothing and lets the process end', (_, args) => {
    const { status, stderr } = spawnSync(process.execPath, ['--require', './watch.cjs', ...args], {
      cwd: consumer,
      encoding: 'utf8',
      timeout: 20_000,
    })
    expect(status, stderr).toBe(0)
    expect(packagesIn(stderr).filter((name) => !MAY_LOAD.includes(name))).toEqual([])
    expect(packagesIn(stderr)).toContain('corral')
    expect(stderr).toContain('timers left: 0')
  })
})

/** The packages named in the report. Node's own modules are none, nor are the files of a package. */
function packagesIn(report: string): string[] {
  const specifiers = [...report.matchAll(/^loads (.+)$/gm)].map((match) => match[1] ?? '')
  const packages = specifiers
    .filter((name) => /^[@a-z]/.test(name) && !/^(file|data):/.test(name) && !isBuiltin(name))
    .map((name) =>
      name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/'),
    )
  return [...new Set(packages)]
}
