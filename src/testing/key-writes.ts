import type { WriteRecord } from './records.js'
import { compareStates, firstIndex, Rising, type RowState } from './row-state.js'

/** The least there can be: what a row is before its first write that anybody has noted. */
const BEGINNING: RowState = { version: '0', absent: true }

/** All that is known of the writes of one row. */
export class KeyWrites {
  /** What every reader has to show. */
  readonly acknowledged = new Rising<WriteRecord>()
  /** What was certainly committed, acknowledged or not. */
  readonly committed = new Rising<WriteRecord>()
  readonly #ofProcess = new Map<string, Rising<WriteRecord>>()
  readonly #ofSession = new Map<string, Rising<WriteRecord>>()
  readonly #known = new Set<string>()
  readonly #rolledBack = new Set<string>()
  /** Of all deletions that may have taken place, in order; each with the earliest start of any from there on. */
  readonly #deletions: { readonly state: RowState; startedMs: number }[] = []
  #hasUnknown = false

  constructor(writes: readonly WriteRecord[]) {
    const inOrder = [...writes].sort((a, b) => a.endedMs - b.endedMs)
    for (const write of inOrder) this.#add(write)
    this.#deletions.sort((a, b) => compareStates(a.state, b.state))
    for (let at = this.#deletions.length - 2; at >= 0; at--) {
      const own = this.#deletions[at] as { startedMs: number }
      own.startedMs = Math.min(own.startedMs, (this.#deletions[at + 1] as { startedMs: number }).startedMs)
    }
  }

  ofProcess(process: string): Rising<WriteRecord> | undefined {
    return this.#ofProcess.get(process)
  }

  ofSession(session: string): Rising<WriteRecord> | undefined {
    return this.#ofSession.get(session)
  }

  /** Whether some write has left this version, or may have. */
  mayHaveLeft(version: string): boolean {
    return this.#known.has(version) || this.#hasUnknown
  }

  wasRolledBack(version: string): boolean {
    return this.#rolledBack.has(version) && !this.#known.has(version)
  }

  /**
   * The earliest absence, from `least` on, that a read which ended then may have been told of; undefined: there was none.
   * Nobody can say which absence a reader saw, so it gets the benefit of the doubt.
   */
  absenceFrom(least: RowState | undefined, endedMs: number): RowState | undefined {
    if (least === undefined || this.#hasUnknown) return least ?? BEGINNING
    // What was so before the first write needs no deletion.
    if (compareStates(least, BEGINNING) <= 0) return least
    const at = firstIndex(this.#deletions, ({ state }) => compareStates(state, least) >= 0)
    const found = this.#deletions[at]
    return found !== undefined && found.startedMs < endedMs ? found.state : undefined
  }

  /** The newest absence that a read which ended then may have been told of; undefined: it may have been any. */
  lastAbsence(endedMs: number): RowState | undefined {
    if (this.#hasUnknown) return undefined
    return this.#deletions[firstIndex(this.#deletions, ({ startedMs }) => startedMs >= endedMs) - 1]?.state ?? BEGINNING
  }

  /** The last absence before `state` that there may have been. */
  absenceBefore(state: RowState): RowState {
    const at = firstIndex(this.#deletions, (deletion) => compareStates(deletion.state, state) >= 0)
    return this.#deletions[at - 1]?.state ?? BEGINNING
  }

  #add(write: WriteRecord): void {
    const { version, absent = false, outcome, endedMs, process, session } = write
    if (outcome === 'rolled-back') {
      if (version !== null) this.#rolledBack.add(version)
      return
    }
    if (version === null) {
      this.#hasUnknown = true
      return
    }
    const state = { version, absent }
    if (absent) this.#deletions.push({ state, startedMs: write.startedMs })
    else this.#known.add(version)
    if (outcome === 'unknown') return
    this.committed.note(endedMs, state, write)
    if (outcome === 'outside') return
    if (outcome === 'fenced') this.acknowledged.note(endedMs, state, write)
    noteIn(this.#ofProcess, process, write, state)
    if (session !== undefined) noteIn(this.#ofSession, session, write, state)
  }
}

function noteIn(map: Map<string, Rising<WriteRecord>>, name: string, write: WriteRecord, state: RowState): void {
  const rising = map.get(name) ?? new Rising<WriteRecord>()
  map.set(name, rising)
  rising.note(write.endedMs, state, write)
}
