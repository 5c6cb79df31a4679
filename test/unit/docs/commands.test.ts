import { readdirSync, readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { ATTRIBUTES } from '../../../src/adapters/otel/attribute-names.js'
import { METRICS, SPANS } from '../../../src/adapters/otel/names.js'
import type { CommandFrame } from '../../../src/cli/command-frame.js'
import { FINDINGS } from '../../../src/cli/doctor/findings.js'
import { corralProgram } from '../../../src/cli/program.js'
import { DEFAULTS } from '../../../src/config.js'

const root = new URL('../../../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), 'utf8')
const guides = readdirSync(new URL('docs/guides', root)).filter((name) => name.endsWith('.md'))
/** What stands in code marks, in lines or in blocks. */
const codeIn = (text: string) =>
  [...text.matchAll(/`([^`\n]+)`/g), ...text.matchAll(/^(npx corral .*)$/gm)].map((match) => match[1] ?? '')
const commands = guides.flatMap((name) =>
  codeIn(read(`docs/guides/${name}`))
    .map((code) => /^(?:npx )?corral ((?:[a-z]).*)$/.exec(code.replace(/ (\|\||>).*$/, '').replace(/\s+#.*$/, ''))?.[1])
    .filter((line) => line !== undefined)
    .map((line) => [name, line] as const),
)

/** Takes the command line apart and does nothing. */
async function parse(line: string): Promise<void> {
  const program = corralProgram({ action: () => async () => {} } as unknown as CommandFrame, '')
  const all = (command: Command): Command[] => [command, ...command.commands.flatMap(all)]
  for (const command of all(program)) command.exitOverride().configureOutput({ writeErr: () => {} })
  // What stands in angle brackets is for the reader to fill in.
  const words = line.replace(/<[^>]*>/g, '2026-01-01T00:00:00Z').match(/'[^']*'|\S+/g) ?? []
  await program.parseAsync(words, { from: 'user' })
}

describe('commands in the guides', () => {
  it('are there', () => {
    expect(commands.length).toBeGreaterThan(20)
  })
  it.each(commands.filter(([, line]) => line.includes(' ') || line === 'doctor'))('%s: corral %s', async (_, line) => {
    await expect(parse(line)).resolves.toBeUndefined()
  })
  it('are not just anything', async () => {
    await expect(parse('epoch bump --now')).rejects.toThrow()
  })
})

const PAGES = ['README.md', 'docs/tutorial.md', 'docs/benchmarks.md', ...guides.map((name) => `docs/guides/${name}`)]
/** What the first column of a page of the reference names. The page itself is made of the source. */
const namedIn = (page: string) =>
  [...read(`docs/reference/${page}.md`).matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] as string)
const groups = new Set(Object.keys(DEFAULTS))
const known = new Set([
  ...Object.entries(DEFAULTS).flatMap(([group, leaves]) => Object.keys(leaves).map((leaf) => `${group}.${leaf}`)),
  ...Object.values(METRICS).map((metric) => metric.name as string),
  ...Object.values(SPANS).map((span) => span.name as string),
  ...Object.values(ATTRIBUTES).map((attribute) => attribute.name as string),
  ...Object.keys(FINDINGS),
  ...namedIn('events'),
  ...namedIn('options'),
  // Of an option that is an object, and of what a call is handed.
  ...['hotKeys.copies', 'replica.db', 'lock.token'],
])

describe('the pages for readers, as a whole', () => {
  it('name many options, metrics and events', () => {
    const all = PAGES.flatMap((page) => codeIn(read(page)))
    expect(new Set(all.filter((code) => known.has(code))).size).toBeGreaterThan(80)
    expect(namedIn('errors')).toContain('SOURCE_FAILED')
    expect(namedIn('events')).toContain('write.unseen')
  })
})

describe.each(PAGES)('%s names only what there is', (page) => {
  const codes = codeIn(read(page))

  it('metrics, options and events', () => {
    const beginnings = new Set([...groups, ...namedIn('events').map((name) => name.split('.')[0] as string)])
    const dotted = codes.filter((code) => /^[a-z][a-zA-Z0-9]*(\.[a-z][a-zA-Z0-9_-]*)+$/.test(code))
    const about = dotted.filter((code) => beginnings.has(code.split('.')[0] as string) && !code.endsWith('.md'))
    expect(about.filter((code) => !known.has(code))).toEqual([])
  })

  it('findings', () => {
    const prefixes = new Set(Object.keys(FINDINGS).map((id) => id.split('.')[0] as string))
    const ids = codes.filter((code) => /^[a-z]+\.[a-z-]+$/.test(code) && prefixes.has(code.split('.')[0] as string))
    expect(ids.filter((id) => !known.has(id) && !/\.(md|mjs|js|ts)$/.test(id))).toEqual([])
  })

  it('error codes', () => {
    const errors = new Set(namedIn('errors'))
    const prefixes = new Set([...errors].map((code) => code.split('_')[0]))
    const written = codes.filter((code) => /^[A-Z]+(_[A-Z]+)+$/.test(code) && prefixes.has(code.split('_')[0]))
    expect(written.filter((code) => !errors.has(code))).toEqual([])
  })

  it('alerts', () => {
    const alerts = new Set([...read('ops/prometheus/corral.yml').matchAll(/alert: (\w+)/g)].map((match) => match[1]))
    expect(codes.filter((code) => /^Corral[A-Z]\w+$/.test(code) && !alerts.has(code))).toEqual([])
  })
})
