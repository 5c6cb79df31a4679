import { Buffer } from 'node:buffer'
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { resolveEncryption } from '../../src/adapters/codec/encryption-options.js'
import { Envelope, stamp } from '../../src/adapters/codec/envelope.js'
import { createIdCodec } from '../../src/adapters/codec/id-codec.js'
import { createListCodec } from '../../src/adapters/codec/list-codec.js'
import { PayloadCipher } from '../../src/adapters/codec/payload-cipher.js'
import { createRowCodec } from '../../src/adapters/codec/row-codec.js'
import { isCorralError } from '../../src/core/errors.js'
import type { CacheKey } from '../../src/core/key.js'
import { readTick, writeTick } from '../../src/core/tick.js'
import type { Version } from '../../src/core/version.js'
import { type BusMessage, BusMessageCodec } from '../../src/engine/bus-message.js'
import { Floors } from '../../src/engine/floors.js'
import { Invalidation } from '../../src/engine/invalidation.js'
import { readMarks, withMarks, withoutMarks } from '../../src/engine/marked-payload.js'
import { Publishers } from '../../src/engine/publishers.js'
import { Singleflight } from '../../src/engine/singleflight.js'
import { SessionLog } from '../../src/session.js'
import { type Damage, damage, damaged, jsonText, resigned } from './hostile.js'

/** What reads bytes that others may have written, and what it may be given. */
export interface Target {
  readonly name: string
  /** Inputs of the full run. */
  readonly full: number
  /** Inputs for one draw: as many as are made of it. */
  readonly inputs: fc.Arbitrary<readonly Input[]>
  /** Reads one and says in a word what came of it. Must not throw, whatever the input. */
  read(input: Input): string
}

export type Input = Buffer | string

const SECRET = 'a secret of the whole fleet'
const KEY = 'shop:{public.products/42}' as CacheKey
const LIMIT = 64 * 1024
const DAMAGES = fc.array(damage, { minLength: 19, maxLength: 19 })

const cipher = new PayloadCipher(
  resolveEncryption({ current: 'k1', keys: { k1: Buffer.alloc(32, 1) }, plain: 'accept' }) as never,
  (size) => Buffer.alloc(size, 3),
)
const sizes = { compressAboveBytes: 200, maxEntryBytes: LIMIT }
const [plain, encrypting] = [new Envelope(sizes), new Envelope({ ...sizes, cipher })]
const columns = [
  { property: 'id', type: 'integer' },
  { property: '__proto__', type: 'jsonb' },
]
const [rows, lists] = [createRowCodec({ columns, schemaVersion: '' }), createListCodec({ schemaVersion: '' })]
const ids = createIdCodec({ columns: columns.slice(0, 1), schemaVersion: '' })

/** An entry in each form, with a payload of nobody's making. */
const entry = fc
  .record({
    kind: fc.constantFrom('row', 'absent', 'lookup', 'query'),
    isEncrypted: fc.boolean(),
    payload: fc.oneof(
      jsonText.map((text) => Buffer.from(text)),
      jsonText.map((text) => Buffer.from(`["xj",["b","AA=="],${text}]`)),
      jsonText.map((text) => Buffer.from(`[["id","__proto__"],["jj",1,${text}],["jx",2,["a",${text}]]]`)),
      fc.tuple(jsonText, jsonText).map(([marks, text]) => Buffer.from(`${marks}\n${text}`)),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    ),
    snapshot: fc.option(fc.string({ unit: fc.constantFrom(...'0123456789:,'), minLength: 1, maxLength: 30 }), {
      nil: undefined,
    }),
    version: fc.option(
      fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map((each) => String(each) as Version),
      {
        nil: undefined,
      },
    ),
  })
  .map(({ isEncrypted, ...each }) => {
    const header = { shape: '1f0c3a7e', freshMs: 300_000, loadMs: 12, epoch: '00000000' }
    return Buffer.from(stamp((isEncrypted ? encrypting : plain).seal({ ...each, ...header }, KEY), 1_795_207_238_308))
  })

/** Of one thing that is sound: itself, and what damage makes of it, every other time with its checksum right again. */
function spoiled(sound: Buffer, damages: readonly Damage[]): Buffer[] {
  const made = damages.map((each, at) => {
    const twice = damaged(damaged(sound, each), damages[(at * 7 + 3) % damages.length] as Damage)
    return at % 2 === 0 ? resigned(twice) : twice
  })
  return [sound, ...made]
}

const envelopes: Target = {
  name: 'entries',
  full: 1_000_000,
  inputs: fc.oneof(
    { weight: 9, arbitrary: fc.tuple(entry, DAMAGES).map(([sound, damages]) => spoiled(sound, damages)) },
    {
      weight: 1,
      arbitrary: fc.array(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([Buffer.from('C1'), bytes])),
        { minLength: 20, maxLength: 20 },
      ),
    },
  ),
  read(input) {
    const bytes = input as Buffer
    const opened = encrypting.open(bytes, KEY)
    const unkeyed = plain.open(bytes, KEY)
    if ('unreadable' in unkeyed && 'unreadable' in opened) return opened.unreadable
    if ('unreadable' in opened) throw new Error(`${opened.unreadable} with the key, read without it`)
    const { payload } = opened
    if (payload.length > LIMIT + 16 * 1024) throw new Error(`expanded to ${payload.length} bytes`)
    const read = [rows.decode(payload), ids.decode(payload), lists.decode(payload), readMarks(payload)]
    const list = lists.decode(withoutMarks(payload))
    for (const value of [...read, list]) assertOwn(value)
    return read.some((value) => value !== undefined) ? 'decoded' : 'payload'
  },
}

const message = fc
  .record({
    publisher: fc.string({ maxLength: 66 }),
    number: fc.oneof(fc.integer({ min: -1 }), fc.maxSafeInteger(), fc.nat(100)),
    changes: fc.array(
      fc.record({
        key: fc.oneof(fc.constantFrom('__proto__', 'constructor', KEY as string), fc.string({ maxLength: 30 })),
        version: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String)),
        absent: fc.boolean(),
        hasFloor: fc.boolean(),
        entry: fc.option(entry, { nil: undefined }),
      }),
      { maxLength: 6 },
    ),
    leaves: fc.boolean(),
  })
  .map((each) => each as unknown as BusMessage)
const unsigned = new BusMessageCodec([])
const signed = new BusMessageCodec([SECRET, 'an older secret'])

function busTarget(name: string, codec: BusMessageCodec, sign: (text: string) => string): Target {
  const floors = new Floors(1_000)
  const invalidation = new Invalidation({ floors, flights: new Singleflight() })
  const publishers = new Publishers()
  // What stands for a table's rows in memory: opens what it is told has been published.
  const forget = (_: CacheKey, { entry: bytes }: { entry?: Uint8Array | undefined }) => {
    if (bytes) envelopes.read(Buffer.from(bytes))
  }
  invalidation.register({ prefix: 'shop:{public.products/', forget, clear: () => {} })
  const text = fc.oneof(
    { weight: 3, arbitrary: message.map((each) => unsigned.write(each)) },
    { weight: 1, arbitrary: jsonText },
    { weight: 1, arbitrary: jsonText.map((each) => `[1,"p",1,${each}]`) },
    { weight: 1, arbitrary: jsonText.map((each) => `[1,"p",1,[${each}]]`) },
  )
  return {
    name,
    full: 100_000,
    inputs: fc.tuple(text, DAMAGES).map(([sound, damages]) => {
      const bytes = Buffer.from(sound, 'utf8')
      const texts = damages.map((each) => damaged(bytes, each).toString('utf8'))
      return [sound, ...texts].map((each, at) => (at % 2 === 0 ? sign(each) : each))
    }),
    read(input) {
      const read = codec.read(input as string)
      if ('refused' in read) return read.refused
      publishers.hear(read, 0)
      for (const change of read.changes) invalidation.apply(change)
      assertOwn(read)
      return 'message'
    },
  }
}

const sessionClock = { wallMs: () => 1_795_207_238_308 }
const token = fc
  .array(
    fc.record({
      key: fc.string({ maxLength: 12 }),
      version: fc.option(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map((each) => String(each) as Version)),
      absent: fc.boolean(),
    }),
    { maxLength: 70 },
  )
  .map((changes) => {
    const session = new SessionLog({ clock: sessionClock, secrets: [] })
    session.wrote(changes as never)
    return Buffer.from(session.token, 'base64url')
  })

const tokens: Target = {
  name: 'session tokens',
  full: 100_000,
  inputs: fc
    .tuple(
      fc.oneof(
        token,
        fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each)),
      ),
      DAMAGES,
    )
    .map(([sound, damages]) => {
      const bytes = [sound, ...damages.map((each) => damaged(sound, each))]
      return bytes.map((each, at) => {
        if (at % 3 === 0) return each.toString('base64url')
        if (at % 3 === 1) return each.toString('latin1')
        const mac = createHmac('sha256', SECRET).update('corral session').update(each).digest().subarray(0, 16)
        return Buffer.concat([each, mac]).toString('base64url')
      })
    }),
  read(input) {
    const outcomes = [[], [SECRET]].map((secrets) => {
      try {
        const session = new SessionLog({ clock: sessionClock, secrets, token: input as string })
        session.demandOf(KEY)
        session.saw(KEY, '5' as Version)
        new SessionLog({ clock: sessionClock, secrets, token: session.token })
        return 'session'
      } catch (error) {
        if (isCorralError(error, 'TOKEN_INVALID')) return 'refused'
        throw error
      }
    })
    return outcomes.join(' unsigned, ')
  },
}

const word = fc.oneof(fc.constantFrom('pQ3d-_xYz0123456', '__proto__'), fc.string({ maxLength: 20 }))
const count = fc.oneof({ weight: 4, arbitrary: fc.nat() }, { weight: 1, arbitrary: fc.double() })
const tick = fc.record({ chain: word, number: count, epoch: count, server: word }).map(writeTick)

const ticks: Target = {
  name: "the relay's ticks",
  full: 100_000,
  inputs: fc.tuple(tick, DAMAGES).map(([sound, damages]) => {
    const bytes = Buffer.from(sound, 'latin1')
    return [sound, ...damages.map((each) => damaged(bytes, each).toString('latin1'))]
  }),
  read(input) {
    const found = readTick(input as string)
    if (found === undefined) return 'refused'
    if (!Number.isSafeInteger(found.number) || found.number < 0) throw new Error(`tick number ${found.number}`)
    return 'tick'
  },
}

const marks: Target = {
  name: 'results with their marks',
  full: 100_000,
  inputs: fc
    .tuple(
      fc.array(fc.tuple(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 })), { maxLength: 4 }),
      jsonText,
      DAMAGES,
    )
    .map(([taken, text, damages]) => {
      const sound = Buffer.from(withMarks(new Map(taken), Buffer.from(text)))
      return [sound, Buffer.from(`${text}\n${text}`), ...damages.slice(1).map((each) => damaged(sound, each))]
    }),
  read(input) {
    const payload = input as Buffer
    const found = readMarks(payload)
    const list = lists.decode(withoutMarks(payload))
    assertOwn(list)
    for (const pair of found ?? [])
      if (pair.some((part) => typeof part !== 'string')) throw new Error('a mark that is no text')
    return `${found ? 'marks' : 'no marks'}, ${list ? 'rows' : 'no rows'}`
  },
}

export const TARGETS: readonly Target[] = [
  envelopes,
  busTarget('bus messages', unsigned, (text) => text),
  busTarget('bus messages, signed', signed, (text) => {
    const mac = createHmac('sha256', SECRET).update(text).digest('base64url').slice(0, 22)
    return mac + text
  }),
  tokens,
  ticks,
  marks,
]

/** What came out of untrusted bytes has plain prototypes all the way down, and none of it has put anything into one. */
function assertOwn(value: unknown): void {
  const seen: unknown[] = [value]
  for (let at = 0; at < seen.length && at < 100; at++) {
    const each = seen[at]
    if (typeof each !== 'object' || each === null) continue
    if ((each as { polluted?: unknown }).polluted !== undefined && !Object.hasOwn(each, 'polluted')) {
      throw new Error('a prototype was reached')
    }
    seen.push(...Object.values(each))
  }
}
