import { atRate, type Requests } from './requests.js'

/**
 * Recorded traces in the formats they are published in:
 * - `arc`: lines of `start count ...` (Megiddo and Modha, "ARC", FAST 2003): `count` blocks from number `start` on;
 * - `lirs`: one block number a line (Jiang and Zhang, "LIRS", SIGMETRICS 2002); lines of `*` mark phases;
 * - `csv`: `timestamp,key,key size,value size,client,operation,ttl` (Yang and others, "A large scale analysis of hundreds of
 *   in-memory cache clusters at Twitter", OSDI 2020); seconds, and any operation but a get writes;
 * - `lines`: one key a line, whatever it is.
 */
export const TRACE_FORMATS = ['arc', 'lirs', 'csv', 'lines'] as const

export type TraceFormat = (typeof TRACE_FORMATS)[number]

/** Operations of the Twitter traces that only read. */
const READS = ['get', 'gets']

/** A line that is not of its format. */
export class TraceError extends Error {
  constructor(format: TraceFormat, line: number, expected: string, found: string) {
    super(`${format} trace, line ${line}: expected ${expected}, found ${JSON.stringify(found.slice(0, 80))}`)
    this.name = 'TraceError'
  }
}

/**
 * A trace as requests. Formats without times are played at `perSecond`.
 *
 * @throws TraceError naming the line, what was expected and what was found; also for a trace without requests.
 */
export function parseTrace(text: string, format: TraceFormat, perSecond: number): Requests {
  const lines = text.split('\n').map((line) => line.trim())
  const numbers = new KeyNumbers()
  if (format === 'csv') return parseCsv(lines, numbers)
  const keys: number[] = []
  lines.forEach((line, at) => {
    if (line === '') return
    if (format === 'lines') keys.push(numbers.of(line))
    else if (format === 'lirs') {
      if (line !== '*') keys.push(numbers.of(wholeNumber(format, at, line, line)))
    } else {
      const [start = '', count = ''] = line.split(/\s+/)
      const first = wholeNumber(format, at, start, line)
      const blocks = wholeNumber(format, at, count, line)
      for (let block = 0; block < blocks; block++) keys.push(numbers.of(first + block))
    }
  })
  if (keys.length === 0) throw new TraceError(format, lines.length, 'at least one request', '')
  return atRate(`${format} trace`, Uint32Array.from(keys), perSecond)
}

function parseCsv(lines: readonly string[], numbers: KeyNumbers): Requests {
  const rows = lines.flatMap((line, at) => {
    if (line === '') return []
    // Keys may hold commas; what follows them never does.
    const parts = line.split(',')
    const seconds = Number(parts[0])
    const operation = parts.at(-2)
    if (parts.length < 7 || parts[0] === '' || !Number.isFinite(seconds) || operation === undefined) {
      throw new TraceError('csv', at + 1, 'timestamp,key,key size,value size,client,operation,ttl', line)
    }
    const key = numbers.of(parts.slice(1, -5).join(','))
    return [{ seconds, key, write: READS.includes(operation) ? 0 : 1 }]
  })
  const [first] = rows
  if (first === undefined) throw new TraceError('csv', lines.length, 'at least one request', '')
  const spread = spreadWithinSeconds(rows.map(({ seconds }) => seconds - first.seconds))
  return {
    name: 'csv trace',
    atMs: spread,
    keys: Uint32Array.from(rows, ({ key }) => key),
    writes: Uint8Array.from(rows, ({ write }) => write),
    keyCount: numbers.size,
  }
}

/** Times are whole seconds: requests of one second are spread over it, in their order. A time before its predecessor's counts as that. */
function spreadWithinSeconds(seconds: readonly number[]): Float64Array {
  const atMs = new Float64Array(seconds.length)
  let from = 0
  let second = 0
  for (let at = 0; at <= seconds.length; at++) {
    const now = at < seconds.length ? Math.max(second, seconds[at] as number) : Number.POSITIVE_INFINITY
    if (now === second) continue
    for (let index = from; index < at; index++) atMs[index] = 1_000 * (second + (index - from) / (at - from))
    from = at
    second = now
  }
  return atMs
}

function wholeNumber(format: TraceFormat, at: number, text: string, line: string): number {
  if (!/^\d+$/.test(text)) throw new TraceError(format, at + 1, 'a whole number', line)
  return Number(text)
}

/** Keys of a trace to numbers from 0, in the order in which they come up. */
class KeyNumbers {
  readonly #numbers = new Map<string | number, number>()

  get size(): number {
    return this.#numbers.size
  }

  of(key: string | number): number {
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    this.#numbers.set(key, this.#numbers.size)
    return this.#numbers.size - 1
  }
}
