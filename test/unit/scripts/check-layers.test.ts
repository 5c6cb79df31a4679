import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const CHECKER = resolve('scripts/check-layers.mjs')

/** A small tree without a fault: comments, strings, given dates and timeouts of sockets are not ambient time. */
const SOUND: Readonly<Record<string, string>> = {
  'core/clock.ts': 'export const now = () => Date.now()\nexport const wait = setTimeout\n',
  'core/key.ts': "import { createHash } from 'node:crypto'\nexport const hash = createHash\n",
  'core/innocent.ts': [
    '/** Unlike Date.now() this never steps back; see setTimeout. */',
    "export const text = 'Math.random() and new Date()'",
    'export const given = new Date(0)',
    'export const idle = (socket: { setTimeout(ms: number): void }) => socket.setTimeout(1)',
  ].join('\n'),
  'policy/expiry.ts': "import { now } from '../core/clock.js'\nexport const at = now\n",
  'engine/reader.ts':
    "import pLimit from 'p-limit'\nimport { at } from '../policy/expiry.js'\nexport const read = [at, pLimit]\n",
  'adapters/redis/store.ts': "import type { Redis } from 'ioredis'\nexport type Store = Redis\n",
  'adapters/memory/store.ts': "import { at } from '../../policy/expiry.js'\nexport const store = at\n",
  'client.ts': "export { store } from './adapters/memory/store.js'\nexport { read } from './engine/reader.js'\n",
  'index.ts': "export { read } from './client.js'\n",
}

/** One fault each: what it is, the file that has it, and what the checker must say. */
const FAULTS: readonly (readonly [fault: string, file: string, text: string, complaint: string])[] = [
  [
    'an import that points up',
    'policy/up.ts',
    "export { read } from '../engine/reader.js'",
    'policy/up.ts: policy may not import engine/reader.ts',
  ],
  [
    'a type-only import that points up',
    'core/up-by-type.ts',
    "import type { at } from '../policy/expiry.js'\nexport type At = typeof at",
    'core/up-by-type.ts: core may not import policy/expiry.ts',
  ],
  [
    'an import type in the middle of a line',
    'core/up-inline.ts',
    "export type At = typeof import('../policy/expiry.js').at",
    'core/up-inline.ts: core may not import policy/expiry.ts',
  ],
  [
    'a dynamic import that points up',
    'engine/up-later.ts',
    "export const up = () => import('../client.js')",
    'engine/up-later.ts: engine may not import client.ts',
  ],
  [
    'an adapter that knows its sibling',
    'adapters/redis/friend.ts',
    "export { store } from '../memory/store.js'",
    'adapters/redis/friend.ts: adapters/redis may not import adapters/memory/store.ts',
  ],
  [
    'an adapter that knows the engine',
    'adapters/redis/up.ts',
    "export { read } from '../../engine/reader.js'",
    'adapters/redis/up.ts: adapters/redis may not import engine/reader.ts',
  ],
  [
    'a driver in the engine',
    'engine/driver.ts',
    "import type { Redis } from 'ioredis'\nexport type R = Redis",
    'engine/driver.ts: engine may not import package ioredis',
  ],
  [
    'a part of a package that is not allowed',
    'jobs/part.ts',
    "export type { A } from '@opentelemetry/api/build/src/index.js'",
    'jobs/part.ts: jobs may not import package @opentelemetry/api/build/src/index.js',
  ],
  [
    'an import of the index',
    'jobs/door.ts',
    "export { read } from '../index.js'",
    'jobs/door.ts: jobs may not import index.ts',
  ],
  ['a file in no layer', 'helpers.ts', 'export const help = 1', 'helpers.ts: no layer owns this file'],
  [
    'a file that imports itself',
    'core/egg.ts',
    "import type { Egg } from './egg.js'\nexport type Hen = { from: Egg }\nexport type Egg = { from: Hen }",
    'cycle: core/egg.ts -> core/egg.ts',
  ],
  [
    'the time of day',
    'engine/now.ts',
    'export const now = Date.now',
    'engine/now.ts:1: Date.now belongs in core/clock.ts',
  ],
  [
    'a new date',
    'engine/date.ts',
    'export const date = () => new Date()',
    'engine/date.ts:1: new Date() belongs in core/clock.ts',
  ],
  [
    'a timer',
    'engine/timer.ts',
    '\nexport const timer = setTimeout(() => {}, 1)',
    'engine/timer.ts:2: setTimeout belongs in core/clock.ts',
  ],
  [
    'chance',
    'policy/die.ts',
    'export const die = () => Math.random()',
    'policy/die.ts:1: Math.random belongs in core/clock.ts',
  ],
  [
    'a random name',
    'core/name.ts',
    "import crypto from 'node:crypto'\nexport const name = () => crypto.randomUUID()",
    'core/name.ts:2: crypto.randomUUID belongs in core/clock.ts',
  ],
  [
    'random bytes',
    'core/bytes.ts',
    "export { randomBytes } from 'node:crypto'",
    'core/bytes.ts:1: randomBytes belongs in core/clock.ts',
  ],
  ['a file that is too long', 'core/long.ts', 'export {}\n'.repeat(351), 'core/long.ts: 351 lines; the limit is 350'],
]

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'check-layers-'))
  for (const [file, text] of Object.entries(SOUND)) plant(file, text)
})
afterAll(() => rmSync(root, { recursive: true }))

function plant(file: string, text: string): void {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), text)
}

function check(): { passed: boolean; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CHECKER, root], { encoding: 'utf8' })
  return { passed: status === 0, said: stdout + stderr }
}

test('a sound tree passes', () => {
  expect(check()).toEqual({ passed: true, said: 'Layers: 9 files, 6 imports, no problem\n' })
})

describe('in a tree with faults', () => {
  let found: { passed: boolean; said: string }
  beforeAll(() => {
    for (const [, file, text] of FAULTS) plant(file, text)
    // A longer cycle, through a file that has no fault of its own.
    plant('core/hen.ts', "import type { Chick } from './chick.js'\nexport type Hen = { of: Chick }")
    plant('core/chick.ts', "import type { Hen } from './hen.js'\nexport type Chick = { of: Hen }")
    found = check()
  })

  test.each(FAULTS)('%s is reported', (_fault, _file, _text, complaint) => {
    expect(found.said).toContain(complaint)
  })

  test('a cycle of several files is reported with its way', () => {
    expect(found.said).toContain('cycle: core/chick.ts -> core/hen.ts -> core/chick.ts')
  })

  test('each is reported once, nothing else is, and the check fails', () => {
    expect(found.said).toContain(`${FAULTS.length + 1} problem(s)`)
    expect(found.passed).toBe(false)
  })
})
