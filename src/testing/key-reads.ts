import type { CheckOptions } from './check-options.js'
import type { KeyWrites } from './key-writes.js'
import type { ReadRecord, WriteRecord } from './records.js'
import { compareStates, Rising, type RowState } from './row-state.js'
import type { Staleness } from './staleness.js'
import type { Violation } from './violation.js'

interface Known<Source> {
  readonly state: RowState
  readonly source: Source
}

/** Holds the reads of one row against its writes and against each other. */
export class KeyReads {
  readonly #writes: KeyWrites
  readonly #options: CheckOptions
  readonly #report: (violation: Violation) => void
  readonly #staleness: Staleness
  readonly #shown = new Map<string, Rising<ReadRecord>>()
  readonly #seen = new Map<string, Rising<ReadRecord>>()

  constructor(writes: KeyWrites, options: CheckOptions, report: (violation: Violation) => void, staleness: Staleness) {
    this.#writes = writes
    this.#options = options
    this.#report = report
    this.#staleness = staleness
  }

  /** In the order in which they ended: whatever had ended before a read began has been dealt with by then. */
  check(reads: readonly ReadRecord[]): void {
    for (const read of [...reads].sort((a, b) => a.endedMs - b.endedMs)) this.#check(read)
  }

  #check(read: ReadRecord): void {
    const { process, session, startedMs, endedMs, version } = read
    if (this.#isPhantom(read)) this.#report({ check: 'phantom', read })
    if (read.says && (read.says.key !== read.key || read.says.version !== version))
      this.#report({ check: 'label', read })

    const acknowledged = this.#writes.acknowledged.before(this.#heedsUntilMs(read))
    const before = this.#shown.get(process)?.before(startedMs)
    const own = this.#writes.ofProcess(process)?.before(startedMs)
    const written = session === undefined ? undefined : this.#writes.ofSession(session)?.before(startedMs)
    const seen = session === undefined ? undefined : this.#seen.get(session)?.before(startedMs)
    const shows = (least: RowState | undefined) => this.#shows(read, least)

    if (this.#falls(acknowledged, shows)) {
      const ageMs = this.#ageMs(read, acknowledged.state)
      this.#report({ check: 'acknowledged', read, missed: acknowledged.source, ageMs })
    }
    if (this.#falls(before, shows)) this.#report({ check: 'monotonic', read, before: before.source })
    if (this.#falls(own, shows)) this.#report({ check: 'own-writes', read, missed: own.source })
    for (const known of [written, seen]) {
      if (!this.#falls<WriteRecord | ReadRecord>(known, shows)) continue
      this.#report({ check: 'session', read, missed: known.source })
      break
    }
    const state = shows(newest(acknowledged, before, own, written, seen)) ?? shows(undefined)
    if (state === undefined) return
    this.#checkAge(read, read.version === null ? this.#writes.lastAbsence(endedMs) : state)
    noteIn(this.#shown, process, endedMs, state, read)
    if (session !== undefined) noteIn(this.#seen, session, endedMs, state, read)
  }

  #isPhantom({ version }: ReadRecord): boolean {
    if (version === null) return false
    if (this.#writes.wasRolledBack(version)) return true
    return this.#options.allWritesAreRecorded === true && !this.#writes.mayHaveLeft(version)
  }

  /** Writes that were acknowledged later than this count for nothing: of other processes' memory it is known that it lags. */
  #heedsUntilMs({ from, startedMs }: ReadRecord): number {
    return from === 'memory' ? startedMs - (this.#options.memoryLagMs ?? Number.POSITIVE_INFINITY) : startedMs
  }

  /** The state a read has shown, if it can be as new as `least`. */
  #shows({ version, endedMs }: ReadRecord, least: RowState | undefined): RowState | undefined {
    if (version === null) return this.#writes.absenceFrom(least, endedMs)
    const state = { version, absent: false }
    return least === undefined || compareStates(state, least) >= 0 ? state : undefined
  }

  #falls<Source>(
    known: Known<Source> | undefined,
    shows: (least: RowState) => RowState | undefined,
  ): known is Known<Source> {
    return known !== undefined && shows(known.state) === undefined
  }

  /** How long what a read shows had been out of date when it began, by the writes that had been acknowledged. */
  #ageMs({ version, startedMs }: ReadRecord, missed: RowState): number {
    const shown = version === null ? this.#writes.absenceBefore(missed) : { version, absent: false }
    return startedMs - (this.#writes.acknowledged.firstAfter(shown) ?? startedMs)
  }

  /** Undefined: what it shows may have been current. */
  #checkAge(read: ReadRecord, state: RowState | undefined): void {
    const overtakenMs = (state && this.#writes.committed.firstAfter(state)) ?? Number.POSITIVE_INFINITY
    const staleMs = Math.max(0, read.startedMs - overtakenMs)
    this.#staleness.note(staleMs)
    const { maxStaleMs } = read
    if (maxStaleMs !== undefined && staleMs > maxStaleMs) this.#report({ check: 'bound', read, staleMs })
  }
}

function newest(...known: readonly (Known<unknown> | undefined)[]): RowState | undefined {
  let most: RowState | undefined
  for (const each of known) {
    if (each !== undefined && (most === undefined || compareStates(each.state, most) > 0)) most = each.state
  }
  return most
}

function noteIn(
  map: Map<string, Rising<ReadRecord>>,
  name: string,
  endedMs: number,
  state: RowState,
  read: ReadRecord,
): void {
  const rising = map.get(name) ?? new Rising<ReadRecord>()
  map.set(name, rising)
  rising.note(endedMs, state, read)
}
