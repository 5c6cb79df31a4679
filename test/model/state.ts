/**
 * One key, everything that may hold a copy of it, and everybody who reads or writes it. Versions are the numbers of the commits
 * that made them, so a version says at once how old it is.
 */

export const NONE = -1
/** Later than any transaction of a scope. */
export const ANY_XID = 14

/** What an entry, a load or a copy in memory says: what commit `of` left behind. */
export interface Value {
  readonly of: number
  readonly absent: boolean
}

export interface Entry extends Value {
  readonly epoch: number
  /** Past its fresh time: of no use, but still there. */
  readonly expired: boolean
}

/** A key in the store with its guard: the entry itself, or one of a hot key's copies. */
export interface Place {
  entry: Entry | undefined
  /** Highest version fenced; `NONE` without one. */
  fence: number
  /** Highest transaction fenced. Commits are numbered as transactions are. */
  fencedXid: number
  /** Highest transaction of a fence without a version; `ANY_XID` when not even that was known. */
  unordered: number
  /** Token of the fill that holds the lease; 0: nobody. */
  lease: number
}

export interface Floor {
  readonly version: number
  readonly absent: boolean
  /** The row was seen to be gone by a process that knows no version of it: no cached row can be shown to be later. */
  readonly isUnordered?: boolean
}

export interface Message {
  readonly from: number
  /** Null: the change has no version, or none is known. */
  readonly version: number | null
  readonly absent: boolean
  /** It tells a floor, and not only that something has changed. */
  readonly raises: boolean
}

/** A fence on its way; null: it drops whatever is there. */
export interface Fence {
  readonly place: number
  readonly version: number | null
  /** The commit it is about. */
  readonly xid: number
}

export interface Process {
  alive: boolean
  floor: Floor | undefined
  epoch: number
  /** Fences the cache has not acknowledged. */
  pending: readonly Fence[]
  /** The copy in L1, and the number of invalidations that could concern it. */
  near: Value | undefined
  generation: number
  /** Heartbeats come back, as far as this process knows. */
  trusted: boolean
  /** The subscription is half open: messages vanish, and nothing says so. */
  deaf: boolean
  /** A message was lost, which the publisher's next one will show. */
  gap: boolean
  inbox: readonly Message[]
  /** What a standby has to show to be believed: what the primary showed at some moment not long ago. `NONE`: not known. */
  horizon: number
  /** It was shown that there is no row, after which copies may still hold one. */
  sawAbsence: boolean
  /** The highest commit that a finished read showed here, and that a finished write of this process made. */
  shown: number
  own: number
}

/**
 * `idle`: between reads. `again`: about to look once more. `looked`: the store has answered. `waits`: for a fill. `landing`: for a
 * fill it joined to land. `loads`: from the database, for itself.
 */
export type ReaderStep = 'idle' | 'again' | 'looked' | 'looked-copy' | 'waits' | 'landing' | 'loads' | 'loaded'

export interface Reader {
  readonly process: number
  readonly carriesSession: boolean
  left: number
  step: ReaderStep
  /** What was written and shown before this read began, so that it has to show at least that. */
  acknowledged: number
  known: number
  held: Entry | undefined
  /** It came by way of a copy, which held this and was of no use. */
  viaCopy: boolean
  heldInCopy: Entry | undefined
  generation: number
  before: Floor | undefined
  value: Value | undefined
  /** The fill it waits for. */
  fill: number
}

/** `wants`: about to ask for the lease. `reads`: about to read the entry for a copy. `sent`: on its way to the store. `stored`: its reply is on its way. */
export type FillStep = 'wants' | 'reads' | 'leased' | 'loaded' | 'sent' | 'stored' | 'loaded-standby' | 'sent-standby'

export interface Fill {
  readonly token: number
  readonly process: number
  readonly place: number
  readonly reason: 'miss' | 'refresh' | 'copy'
  step: FillStep
  /** It gave up on the lease, and loads for its readers only. */
  storesNothing: boolean
  seen: Entry | undefined
  useless: boolean
  generation: number
  before: Floor | undefined
  epoch: number
  value: Value | undefined
  /** A standby has been asked already. */
  askedStandby: boolean
  /** The horizon that the standby had to show. */
  horizon: number
  /** New readers of its process may join. */
  joinable: boolean
  /** Readers who had begun when its question was asked, as bits. */
  covers: number
}

/** `fences`: `at` places are done. `doubts`: COMMIT was sent and never answered; `asks`: what has become of it. */
export type WriterStep = 'idle' | 'committed' | 'confirms' | 'fences' | 'announces' | 'commits-late' | 'doubts' | 'asks'

/**
 * `touched`: a row that a trigger changes once more before COMMIT, after the statement has returned it. `sql`: a row changed by others
 * than Corral. `bulk`: that, and told as one change of the whole table.
 */
export type Write = 'put' | 'remove' | 'touched' | 'sql' | 'bulk'

export interface Writer {
  /** `NONE`: no process of ours. */
  readonly process: number
  readonly writes: readonly Write[]
  done: number
  step: WriterStep
  commit: number
  at: number
  isPending: boolean
  /** Of a COMMIT that was never answered. */
  outcome: 'open' | 'committed' | 'aborted'
  isFencedTwice: boolean
  replacement: number
}

/** Faults that may still happen. */
export interface Budget {
  evictEntry: number
  evictGuard: number
  forgetFence: number
  expire: number
  crash: number
  failFence: number
  doubt: number
  loseMessage: number
  deafen: number
  failover: number
  refresh: number
  /** Not a fault: how often processes look at the primary anew. */
  horizons: number
}

export interface State {
  /** Whether each commit left a row; its index is its version. */
  history: readonly boolean[]
  /** The last commit a standby has replayed. */
  standby: number
  places: Place[]
  /** What a replica of the store has been told, where there may be a failover. */
  replica: Place[]
  processes: Process[]
  readers: Reader[]
  writers: Writer[]
  fills: Fill[]
  tokens: number
  /** Highest commit whose write returned `fenced`; and whose writer has returned at all. */
  acknowledged: number
  returned: number
  /** The highest commit whose fence was forgotten because its time was up. */
  forgotten: number
  /** Commits that are told row by row, and those of them the relay has yet to carry, as bits. */
  unrelayed: number
  relaying: { readonly commit: number; readonly at: number } | undefined
  /** Commits told as one change of the whole table which the relay has yet to turn into an epoch. */
  unepoched: boolean
  epoch: number
  /** The store was replaced by its replica, and the relay has yet to notice. */
  hasFailedOver: boolean
  budget: Budget
}

export function clonePlace(place: Place): Place {
  return { ...place }
}

/** A state to change. What lies deeper than a list's items is shared: it is replaced, never changed. */
export function clone(state: State): State {
  return {
    ...state,
    places: copyEach(state.places),
    processes: copyEach(state.processes),
    readers: copyEach(state.readers),
    writers: copyEach(state.writers),
    fills: copyEach(state.fills),
    budget: { ...state.budget },
  }
}

function copyEach<Item extends object>(items: readonly Item[]): Item[] {
  const copies = new Array<Item>(items.length)
  for (let at = 0; at < items.length; at++) copies[at] = { ...(items[at] as Item) }
  return copies
}

/** What the database holds now. */
export function current(state: State): Value {
  const of = state.history.length - 1
  return { of, absent: !state.history[of] }
}

/** What the database held after commit `of`. */
export function valueAt(state: State, of: number): Value {
  return { of, absent: !state.history[of] }
}
