import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { freshDatabase, redisUrl } from '../support/services.js'
import { packed } from './packed.js'

const TUTORIAL = readFileSync('docs/tutorial.md', 'utf8')

test('the tutorial, typed in piece by piece, prints what it says it prints', async () => {
  const { consumer } = await packed()
  const file = join(consumer, 'shop.mjs')
  const { outputText } = ts.transpileModule(blocksOf('ts'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  })
  writeFileSync(file, outputText)
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], {
    cwd: consumer,
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, DATABASE_URL: await freshDatabase(), REDIS_URL: redisUrl() },
  })
  expect(status, stderr).toBe(0)
  expect(stdout).toBe(blocksOf('output'))
})

/** All blocks of one language, one after the other. */
function blocksOf(language: string): string {
  return [...TUTORIAL.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))]
    .map((match) => match[1])
    .join('')
}
