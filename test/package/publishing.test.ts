import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { packed } from './packed.js'

const { tarball, consumer } = await packed()

function runTool(file: string, args: readonly string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join('node_modules', file), ...args], {
    encoding: 'utf8',
  })
  return { status, said: stdout + stderr }
}

test('publint has nothing to say', () => {
  const { status, said } = runTool('publint/src/cli.js', ['run', tarball, '--strict'])
  expect(status, said).toBe(0)
})

test('types resolve to what is loaded, for import and for require', () => {
  // node16: resolvers of today, ESM and CommonJS. The one before `exports` cannot see any door but the first.
  const { status, said } = runTool('@arethetypeswrong/cli/dist/index.js', [
    tarball,
    '--profile',
    'node16',
    '--no-emoji',
  ])
  expect(status, said).toBe(0)
})

test('holds the build, its papers, and nothing else', () => {
  const found = readdirSync(join(consumer, 'node_modules', 'corral')).sort()
  expect(found.filter((name) => name !== 'README.md')).toEqual([
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'LICENSE',
    ...['dist', 'docs', 'examples', 'ops', 'package.json'],
  ])
})

test('what its papers and declarations point to is in it', () => {
  const root = join(consumer, 'node_modules', 'corral')
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => /\.(md|d\.c?ts)$/.test(file))
  const dangling = files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    const links = [...text.matchAll(/\]\((?![a-z]+:)([^)\s#]+)[^)]*\)/g)].map(([, link = '']) =>
      join(dirname(file), link),
    )
    const named = [...text.matchAll(/See (docs\/[\w./-]+\.md)/g)].map(([, name = '']) => name)
    const pointed = file.endsWith('.md') ? links : named
    return pointed.filter((to) => !existsSync(join(root, to))).map((to) => `${file}: ${to}`)
  })
  expect(dangling).toEqual([])
})
