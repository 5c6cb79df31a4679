/**
 * What to compress large payloads with, and from what size on: processor time of fills and reads against bytes. See decision 0018.
 *
 * Usage: node --import tsx bench/compression.ts
 */
import { Buffer } from 'node:buffer'
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  deflateRawSync,
  type InputType,
  inflateRawSync,
} from 'node:zlib'
import { seededChance } from './simulator/seeded-chance.js'

/** Bytes of the payloads that are measured. */
const SIZES = [4 * 1024, 16 * 1024, 64 * 1024, 512 * 1024] as const

interface Way {
  readonly compress: (payload: InputType) => Buffer
  readonly expand: (bytes: InputType, length: number) => Buffer
}

const deflate = (level: number): Way => ({
  compress: (payload) => deflateRawSync(payload, { level }),
  expand: (bytes, length) => inflateRawSync(bytes, { maxOutputLength: length, chunkSize: length + 64 }),
})
const brotli = (quality: number): Way => ({
  compress: (payload) => brotliCompressSync(payload, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }),
  expand: (bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: length, chunkSize: length + 64 }),
})

const WAYS: Readonly<Record<string, Way>> = {
  'as it is': { compress: (payload) => payload as Buffer, expand: (bytes) => bytes as Buffer },
  'deflate 1': deflate(1),
  'deflate 3': deflate(3),
  'deflate 6': deflate(6),
  'brotli 1': brotli(1),
  'brotli 4': brotli(4),
}

/** What a cached query's result looks like: numbers, prices, times, words, a little JSON. Hardly two rows have anything in common. */
function payloadOf(bytes: number): Buffer {
  const chance = seededChance(1)
  const whole = (below: number) => Math.floor(chance.number() * below)
  const vocabulary = Array.from({ length: 3_000 }, () =>
    whole(36 ** 6)
      .toString(36)
      .slice(0, 2 + whole(7)),
  )
  const words = (count: number) =>
    Array.from({ length: count }, () => vocabulary[Math.floor(3_000 * chance.number() ** 3)]).join(' ')
  const rows: unknown[] = [['id', 'slug', 'price', 'sold_at', 'title', 'details']]
  for (let length = 0; length < bytes; ) {
    const details = { sku: whole(1e9).toString(36), tags: [words(1), words(1)], weight: whole(5_000) }
    const row = [
      'jjjdjj',
      whole(1e7),
      `${words(1)}-${whole(1e6)}`,
      (whole(1e5) / 100).toFixed(2),
      1.7e12 + whole(1e10),
      words(12),
      details,
    ]
    length += JSON.stringify(row).length + 1
    rows.push(row)
  }
  return Buffer.from(JSON.stringify(rows))
}

/** Microseconds of processor time for one call. */
function cpuTimeUs(act: () => void): number {
  for (let warmUp = 0; warmUp < 3; warmUp++) act()
  const untilMs = performance.now() + 100
  const before = process.cpuUsage()
  let calls = 0
  for (; performance.now() < untilMs; calls++) act()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

for (const size of SIZES) {
  const payload = payloadOf(size)
  for (const [name, { compress, expand }] of Object.entries(WAYS)) {
    const stored = compress(payload)
    const rounds = Array.from({ length: 3 }, () => ({
      fill: cpuTimeUs(() => void compress(payload)),
      read: cpuTimeUs(() => void JSON.parse(expand(stored, payload.length).toString('utf8'))),
    }))
    const median = (of: 'fill' | 'read') =>
      rounds
        .map((each) => each[of])
        .sort((a, b) => a - b)[1]
        ?.toFixed(0)
    const share = ((100 * stored.length) / payload.length).toFixed(0)
    console.log(
      `${size / 1024} KiB, ${name}: ${share} % of the bytes, a fill ${median('fill')} us, a read ${median('read')} us`,
    )
  }
}
