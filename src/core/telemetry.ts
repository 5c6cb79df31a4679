import type { CorralEvent } from './events.js'
import type { CacheKey } from './key.js'

/** Calls that read, as applications make them. */
export type ReadCall = 'find' | 'findMany' | 'findBy' | 'query'
/** Calls that write. */
export type WriteCall = 'insert' | 'upsert' | 'update' | 'delete' | 'mutate' | 'transaction'

/** How one key was answered. */
export interface Answered {
  /**
   * `hit`: by an entry. `negative`: by a remembered absence. `stale`: by an expired entry within its grace. `miss`: by a fill, whoever's.
   * `bypass`: by the database alone, because that was asked for or the cache is away.
   */
  readonly result: 'hit' | 'negative' | 'stale' | 'miss' | 'bypass'
  /** `l1`: this process' memory. `l2`: the cache. `copy`: one of a hot key's copies there. `source`: the database. */
  readonly tier: 'l1' | 'l2' | 'copy' | 'source'
}

/** Made once: nothing has to be allocated to say how a key was answered. */
export const ANSWERED = {
  hit: { result: 'hit', tier: 'l2' },
  negative: { result: 'negative', tier: 'l2' },
  stale: { result: 'stale', tier: 'l2' },
  copied: { result: 'hit', tier: 'copy' },
  missed: { result: 'miss', tier: 'source' },
  bypassed: { result: 'bypass', tier: 'source' },
} as const satisfies Record<string, Answered>

/** A call under way. */
export interface ReadSpan {
  /** Runs `work` within the span, so that what it begins becomes part of it, and ends the span when it has settled. */
  run<Result>(work: () => Promise<Result>): Promise<Result>
  /** One of its keys was answered, by this fill if by any. A call that never says so was answered by this process' memory. */
  answered(how: Answered, fill?: FillSpan): void
}

export interface WriteSpan {
  /** As `ReadSpan.run`. */
  run<Result extends { readonly fence: string } | undefined>(work: () => Promise<Result>): Promise<Result>
}

/** A load of the database under way, and the storing of what it brought. */
export interface FillSpan {
  /** Runs `work` within the span. */
  within<Result>(work: () => Promise<Result>): Promise<Result>
  /** How it ended; the first word counts. */
  end(outcome: string): void
  failed(error: unknown): void
}

/** A piece of work that ends with its promise; where that resolves with a word, it is how. */
export interface WorkSpan {
  /** As `ReadSpan.run`. */
  run<Result>(work: () => Promise<Result>): Promise<Result>
}

/** What one repository holds in this process' memory. Asked for when metrics are collected. */
export interface NearFigures {
  readonly hits: number
  readonly entries: number
  readonly bytes: number
}

/** How far the relay of a process is behind; zeros where another one does the work. */
export interface RelayFigures {
  /** Changes that were read and that the cache has not acknowledged. */
  readonly pending: number
  /** For how long at most a committed change may have been waiting. */
  readonly ageMs: number
}

/** What an instance knows of itself. Asked for when metrics are collected. */
export interface InstanceFigures {
  readonly breaker: 'closed' | 'open' | 'half-open'
  readonly pendingFences: number
  readonly loads: { readonly running: number; readonly waiting: number }
  /** Number of hot keys of each repository that counts them. */
  readonly hotKeys: ReadonlyMap<string, number>
  /** Fenced locks that are held, or believed to be. */
  readonly locksHeld: number
  /** Undefined: this process runs no relay. */
  readonly relay: (RelayFigures & { readonly leads: boolean }) | undefined
}

/**
 * What the engine tells about work under way. Events say what has happened; this says what belongs together and how long it took.
 * Implementation: `adapters/otel`. Nothing here throws or waits.
 *
 * A read that this process' memory answers is not told: it is counted, as a plain number that `watch` gives out.
 */
export interface Telemetry {
  read(call: ReadCall, entity: string, keys?: number): ReadSpan
  /** @param entity undefined: of a transaction, which may write any. */
  write(call: WriteCall, entity: string | undefined): WriteSpan
  /** A fill that holds its lease. */
  fill(entity: string, key: CacheKey, reason: 'miss' | 'refresh'): FillSpan
  /** A load that fills nothing. */
  load(entity: string, key: CacheKey): FillSpan
  /** A reader begins to wait for a fill of another process. Returns what to call when it has ended. */
  waitForLease(entity: string): (outcome: 'answered' | 'took-over' | 'gave-up' | 'failed') => void
  fence(changes: number): WorkSpan
  relayBatch(changes: number): WorkSpan
  /** A message of this process took so long to come back to it over the bus. */
  busDelay(delayMs: number): void
  onEvent(event: CorralEvent): void
  /** `act`, to be called later as if from here. */
  bind(act: () => void): () => void
  watchNear(entity: string, figures: NearFigures): void
  watchInstance(figures: () => InstanceFigures): void
  /** Ends the watching. */
  close(): void
}

const NO_SPAN: ReadSpan & WriteSpan & FillSpan & WorkSpan = {
  run: <Result>(work: () => Promise<Result>) => work(),
  within: (work) => work(),
  answered() {},
  end() {},
  failed() {},
}

/** Nobody listens. */
export const NO_TELEMETRY: Telemetry = {
  read: () => NO_SPAN,
  write: () => NO_SPAN,
  fill: () => NO_SPAN,
  load: () => NO_SPAN,
  waitForLease: () => () => {},
  fence: () => NO_SPAN,
  relayBatch: () => NO_SPAN,
  busDelay() {},
  onEvent() {},
  bind: (act) => act,
  watchNear() {},
  watchInstance() {},
  close() {},
}

/** For reads of which nobody wants to know. */
export const UNTOLD: ReadSpan = NO_SPAN
