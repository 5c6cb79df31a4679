import { Buffer } from 'node:buffer'
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  deflateRawSync,
  type InputType,
  inflateRawSync,
} from 'node:zlib'
import type { Contenders } from '../harness/throughput.js'
import { seededChance } from '../simulator/seeded-chance.js'

/** Bytes of the payloads that are measured. */
export const SIZES = [4 * 1024, 16 * 1024, 64 * 1024, 512 * 1024] as const
export const fillOf = (bytes: number) => `fill ${bytes / 1024} KiB`
export const readOf = (bytes: number) => `read ${bytes / 1024} KiB`

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

export const WAYS: Readonly<Record<string, Way>> = {
  'as it is': { compress: (payload) => payload as Buffer, expand: (bytes) => bytes as Buffer },
  'deflate 1': deflate(1),
  'deflate 3': deflate(3),
  'deflate 6': deflate(6),
  'brotli 1': brotli(1),
  'brotli 4': brotli(4),
}

/** What a cached query's result looks like: numbers, prices, times, words, a little JSON. Hardly two rows have anything in common. */
export function payloadOf(bytes: number): Buffer {
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

/** Compressing a payload, and expanding and parsing one: what a fill and a read of a large entry have to do. */
export const contenders: Contenders = Object.fromEntries(
  Object.entries(WAYS).map(([name, { compress, expand }]) => [
    name,
    async () => {
      const workloads = SIZES.flatMap((size) => {
        const payload = payloadOf(size)
        const stored = compress(payload)
        const fill = async (times: number) => {
          for (let time = 0; time < times; time++) {
            if (compress(payload).length !== stored.length) throw new Error('compressed to another length')
          }
        }
        const read = async (times: number) => {
          for (let time = 0; time < times; time++) {
            const parsed: unknown[] = JSON.parse(expand(stored, payload.length).toString('utf8'))
            if (parsed.length < 2) throw new Error('not what was compressed')
          }
        }
        return [
          [fillOf(size), fill],
          [readOf(size), read],
        ] as const
      })
      return { workloads: Object.fromEntries(workloads), close: async () => {} }
    },
  ]),
)
