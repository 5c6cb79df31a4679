/**
 * Decides what was stale, from what the processes wrote down and from nothing else: no cache is asked. All times are
 * milliseconds on one clock that all processes share.
 */

/** One read of one row, as the reader saw it. */
export interface ReadRecord {
  readonly worker: number
  /** The row, such as `products/42`. */
  readonly row: string
  readonly startedMs: number
  readonly endedMs: number
  /** The revision in the row that came back; 0 when none came back. */
  readonly revision: number
  /** The row says the same in its other column. */
  readonly intact: boolean
}

/** One write of one row that its writer was told is done. */
export interface WriteRecord {
  readonly worker: number
  readonly row: string
  /** The row's revision after this write. */
  readonly revision: number
  readonly acknowledgedMs: number
  /** False: the writer was told that the cache may show the older row for a while. Such a write makes no read stale. */
  readonly fenced: boolean
}

/** A read that returned less than what had been acknowledged before it began. */
export interface StaleRead {
  readonly read: ReadRecord
  /** The newest write acknowledged before the read began. */
  readonly missed: WriteRecord
  /** How long what was returned had been out of date when the read began. */
  readonly ageMs: number
}

/** A read is stale when it began after a newer revision of its row was acknowledged. In the order of the reads' start. */
export function findStaleReads(reads: readonly ReadRecord[], writes: readonly WriteRecord[]): StaleRead[] {
  const records = risingRecords(writes)
  const stale: StaleRead[] = []
  for (const read of reads) {
    const known = records.get(read.row) ?? []
    // Acknowledged in the very instant the read began counts as concurrent.
    const missed = known[firstIndex(known, (write) => write.acknowledgedMs >= read.startedMs) - 1]
    if (missed === undefined || missed.revision <= read.revision) continue
    const overtaking = known[firstIndex(known, (write) => write.revision > read.revision)] as WriteRecord
    stale.push({ read, missed, ageMs: read.startedMs - overtaking.acknowledgedMs })
  }
  return stale.sort((a, b) => a.read.startedMs - b.read.startedMs)
}

/** Reads whose row does not say the same revision, or the same row, in both of its columns. */
export function findTornReads(reads: readonly ReadRecord[]): ReadRecord[] {
  return reads.filter((read) => !read.intact)
}

/**
 * For each row the writes that, when they were acknowledged, were newer than any acknowledged before: both time and
 * revision rise, so either can be searched.
 */
function risingRecords(writes: readonly WriteRecord[]): Map<string, WriteRecord[]> {
  const rising = new Map<string, WriteRecord[]>()
  const inOrder = writes.filter((write) => write.fenced).sort((a, b) => a.acknowledgedMs - b.acknowledgedMs)
  for (const write of inOrder) {
    const known = rising.get(write.row)
    if (known === undefined) rising.set(write.row, [write])
    else if (write.revision > (known.at(-1) as WriteRecord).revision) known.push(write)
  }
  return rising
}

/** Index of the first item for which `holds`, given that it holds for all after it; the length when for none. */
function firstIndex<Item>(items: readonly Item[], holds: (item: Item) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(items[middle] as Item)) high = middle
    else low = middle + 1
  }
  return low
}
