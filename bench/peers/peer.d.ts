/** What one file here makes of a peer, and what the benchmarks ask of it. Plain JavaScript runs these files as they are. */
export interface PeerSetup {
  readonly redisUrl: string
  /** First part of every key. */
  readonly namespace: string
  readonly freshMs: number
  /** How long before that an entry that is asked for may be refreshed behind its readers, where the peer can. 0: not at all. */
  readonly refreshMs: number
  /** `both`: memory before Redis, kept in step by the peer's own bus where it has one. Each peer says in `tiers` what it can do. */
  readonly tiers: Tiers
  /** How long a command may wait for Redis, where the peer can be told. */
  readonly deadlineMs: number
  /** Reads one row from the database. */
  load(id: number): Promise<object | undefined>
  /** Reads many, in any order. */
  loadMany(ids: readonly number[]): Promise<readonly object[]>
}

export type Tiers = 'memory' | 'redis' | 'both'

export interface OpenPeer {
  get(id: number): Promise<unknown>
  /** Absent: the peer has no read of many keys that loads what is missing. */
  getMany?(ids: readonly number[]): Promise<readonly unknown[]>
  /** What its documentation says to do after a write. */
  invalidate(id: number): Promise<unknown>
  close(): Promise<unknown>
}

export interface PeerModule {
  /** How it can be set up. */
  readonly tiers: readonly Tiers[]
  open(setup: PeerSetup): Promise<OpenPeer>
}
