import type { HistoryRecords, LoadRecord, ReadRecord, RestRecord, WriteRecord } from './records.js'

/** Collects records, of one process or of all. Nothing is dropped: a run of a million reads takes some 200 MB. */
export class History implements HistoryRecords {
  readonly reads: ReadRecord[] = []
  readonly writes: WriteRecord[] = []
  readonly loads: LoadRecord[] = []
  readonly atRest: RestRecord[] = []

  read(record: ReadRecord): void {
    this.reads.push(record)
  }

  write(record: WriteRecord): void {
    this.writes.push(record)
  }

  load(record: LoadRecord): void {
    this.loads.push(record)
  }

  rest(record: RestRecord): void {
    this.atRest.push(record)
  }

  /** Adds what another process has collected. */
  add({ reads, writes, loads, atRest }: HistoryRecords): void {
    // One by one: as arguments of a single `push`, a long run's records overflow the stack.
    for (const record of reads) this.reads.push(record)
    for (const record of writes) this.writes.push(record)
    for (const record of loads) this.loads.push(record)
    for (const record of atRest) this.atRest.push(record)
  }
}
