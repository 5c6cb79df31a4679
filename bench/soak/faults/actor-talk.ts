import type { HistoryRecords, ReadRecord, RestRecord } from '../../../src/testing.js'
import type { Talk } from '../../harness/crew.js'
import type { Ablation } from './ablation.js'
import type { Counts } from './counts.js'

/** What a process of a fault run is, and where it finds its servers. Travels to it. */
export interface ActorChoice {
  readonly name: string
  readonly namespace: string
  readonly postgresUrl: string
  /** Loads come from there where the process loads from a standby at all. */
  readonly replicaUrl: string | undefined
  readonly redis: RedisPlace
  /** `by-hand` is cache-aside as services write it; `relay` carries the outbox and serves nobody. */
  readonly kind: 'corral' | 'by-hand' | 'relay'
  readonly l1: boolean
  readonly onWrite: 'drop' | 'publish'
  /** Mechanisms taken out, to see that the run finds out. */
  readonly without: readonly Ablation[]
  /** Of this process' wall clock. */
  readonly clockShiftMs: number
  readonly seed: number
}

export type RedisPlace =
  | { readonly url: string }
  | { readonly nodes: readonly { readonly host: string; readonly port: number }[] }

/** How much a process does. */
export interface Pace {
  readonly readsPerSecond: number
  readonly writesPerSecond: number
}

export interface ActorTalk extends Talk {
  /** Answers with this process' id. */
  open(choice: ActorChoice): Promise<number>
  pace(pace: Pace): void
  /** Ends the traffic and answers when none is under way. */
  rest(): Promise<void>
  /** Reads what another process wrote under this session. */
  follow(session: string, token: string, id: number): void
  shiftClock(ms: number): void
  /** Dies by SIGKILL when its next fence is about to leave: after COMMIT, before anybody has heard of it. */
  dieAtNextFence(): void
  role(): 'leader' | 'standby' | 'off'
  /** Compares what this process holds in memory with the database. */
  memoryAtRest(): Promise<readonly RestRecord[]>
  /** Compares what lies in Redis with the database. */
  cacheAtRest(): Promise<readonly RestRecord[]>
  close(): Promise<void>
}

/** Words nobody asked for, as JSON. */
export type ActorWord = ActorNotes | ActorSession

/** A read, and what its caller asked for: to find it again when it is reported. */
export interface NamedRead extends ReadRecord {
  readonly kind?: ReadKind
}

export const READ_KINDS = ['find', 'findMany', 'findBy', 'query', 'bounded', 'verified', 'primary', 'session'] as const
export type ReadKind = (typeof READ_KINDS)[number]

/** What it has noted since it last said so. */
export interface ActorNotes {
  readonly records: HistoryRecords
  readonly queries: HistoryRecords
  readonly lookups: HistoryRecords
  readonly counts: Counts
}

/** A session that has written, for others to go on with. */
interface ActorSession {
  readonly session: string
  readonly token: string
  readonly id: number
}
