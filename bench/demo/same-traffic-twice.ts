import { describeViolation } from '../../src/testing.js'
import type { Act } from './act.js'
import type { Figures } from './figures.js'
import { NETWORK, runSide } from './run-side.js'
import { PRODUCT_COUNT } from './shop.js'
import { formatCount, formatMs, formatSeconds, formatShare, formatTable, type TableRow } from './table.js'
import { TRAFFIC } from './traffic.js'

/** Offending reads and rows that are printed at most. */
const EXAMPLES = 5

/** One shop, the same visitors and writers twice: once over hand-written cache-aside, once over Corral. */
export const sameTrafficTwice: Act = {
  title: 'The same traffic twice: hand-written cache-aside, then Corral',

  async perform(stage) {
    const { narrator } = stage
    narrator.tell(...introduction())
    narrator.tell('First, cache-aside as most services write it: GET; on a miss SELECT, then SET; after a write, DEL.')
    const byHand = await runSide('hand-written', stage)
    narrator.tell(
      'Now Corral: same seeds, same plan, same network, a fresh shop. Its in-process tier is off, because ' +
        'the other side has none either, and because that tier may lag behind another process by as long as a message takes.',
    )
    const corral = await runSide('corral', stage)

    narrator.say('', ...formatTable(['', 'hand-written', 'Corral'], rowsOf(byHand, corral)))
    narrator.tell(...meaning(byHand, corral))
    for (const [failure] of [byHand.failures, corral.failures]) if (failure) narrator.tell(`First failure: ${failure}`)
    return failuresOf(corral)
  },
}

function introduction(): string[] {
  const { processes, visitors, customers, durationMs } = TRAFFIC
  const { latencyMs, jitterMs } = NETWORK
  return [
    `A shop keeps ${formatCount(PRODUCT_COUNT)} products and their stock in Postgres, and copies of them in Redis. It runs as ` +
      `${processes} processes. ${processes * visitors} visitors open product pages, a few products far more often than the rest; ` +
      `${processes * customers} customers buy; and price feeds change prices, often of one product in several processes at ` +
      `once. Each side gets ${durationMs / 1_000} s of this. Postgres is ${latencyMs} to ${latencyMs + jitterMs} ms away in each ` +
      'direction, as over a busy network. Nothing else is done to either side.',
    'Every row carries a revision that the database counts up. Every process writes down which revision each read ' +
      'returned and when each write was confirmed, on a clock that all of them share. A read is stale if it began after a ' +
      'newer revision had been confirmed. The checker goes by these notes alone; it asks neither cache.',
  ]
}

function rowsOf(byHand: Figures, corral: Figures): TableRow[] {
  const row = (label: string, format: (figures: Figures) => string): TableRow => [label, format(byHand), format(corral)]
  return [
    row('reads a second', ({ readsPerSecond }) => formatCount(readsPerSecond)),
    row('writes', ({ writes }) => formatCount(writes)),
    row('hit ratio', ({ hitRatio }) => formatShare(hitRatio)),
    row('read time, p50', ({ p50Ms }) => formatMs(p50Ms)),
    row('read time, p99', ({ p99Ms }) => formatMs(p99Ms)),
    row('database loads', ({ loads }) => formatCount(loads)),
    row('stale reads', ({ stale }) => formatCount(stale)),
    row('  longest out of date', ({ oldestMs }) => (oldestMs > 0 ? formatSeconds(oldestMs) : '-')),
    row('failed reads and writes', ({ failures }) => formatCount(failures.length)),
    row('torn rows read', ({ torn }) => formatCount(torn)),
    row('rows stale at rest', ({ atRest }) => `${formatCount(atRest.stale.length)} of ${formatCount(atRest.cached)}`),
  ]
}

function meaning(byHand: Figures, corral: Figures): string[] {
  const loser =
    byHand.stale === 0
      ? 'By hand, no read was stale this time: no reader happened to store an old row after the DEL of a writer. Run it again.'
      : `By hand, ${formatCount(byHand.stale)} reads returned a row after it was known to be out of date, and ` +
        `the cache still holds ${formatCount(byHand.atRest.stale.length)} wrong rows, which stay until their time to live ends. ` +
        "Each began with a reader that had loaded the old row and stored it just after a writer's DEL."
  const figures = `${formatCount(corral.stale)} stale reads and ${formatCount(corral.atRest.stale.length)} wrong rows`
  const winner =
    failuresOf(corral).length > 0
      ? `Under the same traffic Corral had ${figures}, which it should not.`
      : `Under the same traffic Corral had ${figures}: to store what it loaded, a reader needs a lease, and every write revokes it.`
  const paragraphs = [`${loser} ${winner}`]
  if (corral.unfenced > 0) {
    paragraphs.push(
      `${formatCount(corral.unfenced)} of Corral's writes came back as \`pending\`: Redis had not answered in time, which happens ` +
        `on a busy machine. Their writers were told; ${formatCount(corral.excused)} reads that missed only such writes are not counted.`,
    )
  }
  return paragraphs
}

function failuresOf(corral: Figures): string[] {
  const { report, torn, stale, atRest } = corral
  return [
    ...summary(stale, 'stale reads'),
    ...summary(torn, 'torn rows'),
    ...report.violations.slice(0, EXAMPLES).map((violation) => `  ${describeViolation(violation)}`),
    ...summary(atRest.stale.length, 'rows stale at rest'),
    ...atRest.stale
      .slice(0, EXAMPLES)
      .map((row) => `  ${row.row} is cached as revision ${row.cachedRevision}, stored as ${row.storedRevision}`),
  ]
}

function summary(count: number, what: string): string[] {
  return count === 0 ? [] : [`Corral: ${formatCount(count)} ${what}`]
}
