import type { CorralEvent } from '../../src/core/events.js'
import type { FenceRequest, FillRequest } from '../../src/core/ports.js'
import type { Arrival } from './redis/connection.js'

/**
 * Races that have to take place in the runs, or these would prove nothing. Each is named after the anomaly it could have become: A1 to A57 of the
 * catalogue in docs/design/simulator.md. They are seen by what happens in the world.
 */
export const WITNESSES = [
  'A1 a fill arrived after the fence of a write that it had not seen',
  'A3 a process died between a COMMIT and its fence',
  'A4 a COMMIT was not answered',
  'A5 a transaction thought better of it',
  'A6 a fence arrived after that of a later write',
  'A8 a fence revoked a refresh',
  'A9 a process was stopped while it held a lease',
  'A10 a guard was evicted that remembered a fence',
  'A11 a process loaded a row whose lease another one held',
  'A15 a command arrived after its caller had given it up',
  'A16 an absence arrived after the fence of an INSERT',
  'A19 a row came back under the key of one that was deleted',
  'A21 a standby was not believed',
  'A28 a server took over that lacked acknowledged fences',
  'A30 a process went on to talk to a server that had been replaced',
  'A32 a fence was pending',
  'A35 a message was lost',
  'A36 connections to the bus were half open',
  'A40 a process with rows in memory was stopped for longer than it is trusted',
  'A43 a copy of a hot key was fenced',
  'A47 somebody wrote by SQL',
  'A52 an entry of another shape was met',
  'a former primary followed the server that had replaced it',
  'an entry of another epoch was met',
  'a bound could not be proven',
  'a bound was proven',
  'an expired entry was met within its grace',
  'a published row took the place of an older one',
  'a relay replayed',
  'another relay took over',
] as const

export type Witness = (typeof WITNESSES)[number]

/** What there is to remember of one key to know a race when it takes place. */
interface KeyState {
  fencedVersion: string | undefined
  fencedAtMs: number
  hasFence: boolean
  wasDeleted: boolean
  readonly leases: Map<string, { readonly by: string; readonly atMs: number }>
  /** Versions that are committed and not fenced, and by whom. */
  readonly unfenced: Map<string, string>
}

/** Watches one run for the races that it should contain. */
export class WitnessLog {
  readonly #seen = new Set<Witness>()
  readonly #keys = new Map<string, KeyState>()
  readonly #nowMs: () => number
  #leaders = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get seen(): readonly Witness[] {
    return [...this.#seen]
  }

  /** Bound, to be handed on. */
  readonly note = (witness: Witness): void => void this.#seen.add(witness)

  /** A command has arrived at a server. */
  arrived({ operation, key, request, reply, by }: Arrival): void {
    const state = this.#key(key)
    if (operation === 'lease' && (reply as { outcome: string }).outcome === 'leased') {
      state.leases.set((request as { token: string }).token, { by, atMs: this.#nowMs() })
    }
    if (operation === 'fence') this.#fenced(key, state, request as FenceRequest, reply as string)
    if (operation === 'fill') this.#filled(state, request as FillRequest, reply as string)
  }

  evictedGuard(key: string): void {
    const state = this.#key(key)
    if (state.hasFence) this.note('A10 a guard was evicted that remembered a fence')
    state.hasFence = false
  }

  stopped(process: string): void {
    for (const { leases } of this.#keys.values()) {
      for (const { by } of leases.values())
        if (by === process) this.note('A9 a process was stopped while it held a lease')
    }
  }

  /** A server is replaced by one that has received nothing since `cutMs`. */
  tookOver(cutMs: number): void {
    const lacksFences = [...this.#keys.values()].some(({ fencedAtMs }) => fencedAtMs > cutMs)
    if (lacksFences) this.note('A28 a server took over that lacked acknowledged fences')
  }

  /** A transaction of this process has left these versions. */
  committed(process: string, changes: readonly { key: string; version: string; absent: boolean }[]): void {
    for (const { key, version, absent } of changes) {
      const state = this.#key(key)
      state.unfenced.set(version, process)
      if (state.wasDeleted && !absent) this.note('A19 a row came back under the key of one that was deleted')
      state.wasDeleted ||= absent
    }
  }

  died(process: string): void {
    for (const { unfenced } of this.#keys.values()) {
      if ([...unfenced.values()].includes(process)) this.note('A3 a process died between a COMMIT and its fence')
    }
  }

  loads(process: string, key: string): void {
    const others = [...this.#key(key).leases.values()].filter(({ by }) => by !== process)
    if (others.length > 0) this.note('A11 a process loaded a row whose lease another one held')
  }

  happened(event: CorralEvent): void {
    switch (event.type) {
      case 'fence':
        if (event.outcome === 'pending') this.note('A32 a fence was pending')
        return
      case 'fill':
        if (event.reason === 'refresh' && event.outcome === 'lease-lost') this.note('A8 a fence revoked a refresh')
        return
      case 'hit':
        if (event.verdict === 'stale') this.note('an expired entry was met within its grace')
        return
      case 'miss':
        if (event.reason === 'other-shape') this.note('A52 an entry of another shape was met')
        if (event.reason === 'other-epoch') this.note('an entry of another epoch was met')
        if (event.reason === 'unproven') this.note('a bound could not be proven')
        return
      case 'replica.skipped':
        if (event.reason !== 'failed') this.note('A21 a standby was not believed')
        return
      case 'relay.replayed':
        this.note('a relay replayed')
        return
      case 'relay.leader':
        if (event.state === 'gained' && ++this.#leaders === 2) this.note('another relay took over')
        return
      default:
    }
  }

  #fenced(key: string, state: KeyState, { version }: FenceRequest, reply: string): void {
    if (key.includes(':slot') && reply !== 'absent') this.note('A43 a copy of a hot key was fenced')
    if (reply === 'replaced') this.note('a published row took the place of an older one')
    if (!key.includes('/')) return
    for (const each of state.unfenced.keys()) {
      if (version === null || !isOlder(version, each)) state.unfenced.delete(each)
    }
    const known = state.fencedVersion
    if (version !== null && known !== undefined && isOlder(version, known)) {
      this.note('A6 a fence arrived after that of a later write')
    }
    if (version !== null && (known === undefined || isOlder(known, version))) state.fencedVersion = version
    state.fencedAtMs = this.#nowMs()
    state.hasFence = true
  }

  #filled(state: KeyState, { token, version }: FillRequest, reply: string): void {
    const lease = state.leases.get(token)
    state.leases.delete(token)
    if (reply === 'filled' || lease === undefined || lease.atMs > state.fencedAtMs) return
    const { fencedVersion } = state
    if (version === undefined) this.note('A16 an absence arrived after the fence of an INSERT')
    else if (fencedVersion !== undefined && isOlder(version, fencedVersion)) {
      this.note('A1 a fill arrived after the fence of a write that it had not seen')
    }
  }

  #key(key: string): KeyState {
    const known = this.#keys.get(key)
    if (known) return known
    const state: KeyState = {
      ...{ fencedVersion: undefined, fencedAtMs: Number.NEGATIVE_INFINITY, hasFence: false, wasDeleted: false },
      ...{ leases: new Map(), unfenced: new Map() },
    }
    this.#keys.set(key, state)
    return state
  }
}

function isOlder(a: string, b: string): boolean {
  return a.length === b.length ? a < b : a.length < b.length
}
