import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, release, totalmem } from 'node:os'

const PACKAGES = ['ioredis', 'kysely', 'pg', 'lru-cache']

/** What the figures were measured on, in two lines. */
export function describeMachine(): string {
  const [first] = cpus()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')
  return [
    `${cpus().length} x ${first?.model.trim() ?? 'unknown CPU'}, ${memory}, ${process.platform} ${release()}, load ${load}`,
    `node ${process.version}, ${PACKAGES.map((name) => `${name} ${versionOf(name)}`).join(', ')}`,
  ].join('\n')
}

function versionOf(name: string): string {
  const require = createRequire(import.meta.url)
  // A package's manifest need not be among its exports, but its folder can be found from its entry.
  const folder = require.resolve(name).split(`/node_modules/${name}/`)[0]
  const manifest = readFileSync(`${folder}/node_modules/${name}/package.json`, 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
