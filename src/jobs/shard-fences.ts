import type { Chance, Clock } from '../core/clock.js'
import { CacheUnavailableError } from '../core/errors.js'
import type { EmitEvent } from '../core/events.js'
import type { CacheKey } from '../core/key.js'
import { NoAnswer } from '../core/no-answer.js'
import type { CacheStore, FenceOutcome, ShardState, StoredBytes } from '../core/ports.js'
import { readTick, writeTick } from '../core/tick.js'
import { withinMs } from '../engine/deadline.js'
import type { OrderedFence } from '../engine/fence-order.js'

/**
 * What the relay knows of a shard.
 *
 * - `current`: it has every fence up to the position.
 * - `replaying`: it answers, and may have lost fences or missed some. It gets the new ones, and the old ones again.
 * - `away`: it does not answer. It gets nothing and is asked now and then.
 */
export type Standing = 'current' | 'replaying' | 'away'

interface Shard {
  readonly name: string
  standing: Standing
  /** As of when it last was found to answer. */
  server: string
  isKnown: boolean
  chain: string
  number: number
  /** The replay under way began after this shard was found to need one. */
  isCovered: boolean
  askAtMs: number
  waitMs: number
  asking: Promise<void> | undefined
  /** When the others were last told that somebody is at it. */
  toldMs: number
}

/** How long one call to a shard may take. */
const DEADLINE_MS = 1_000
/** How long a shard that fails holds up the others before they go on without it. */
const PATIENCE_MS = 1_000
const FIRST_WAIT_MS = 50
const MAX_WAIT_MS = 1_000
/** How often a shard that is being replayed shows that a relay is there. */
const TELL_EVERY_MS = 500

/**
 * The relay's way to the cache: a store for its `Fencer` that delivers to each shard on its own, and knows what each of them has.
 *
 * A call ends when every shard has answered or is left behind. One that fails is asked again for a second, then left behind: the
 * others go on without it, and when it answers again it gets everything of the replay window. The last one is never left
 * behind, so with one server nothing is skipped: everything waits.
 *
 * A shard is `current` only on the server it was found on. Another process or a replica made primary shows in the script that writes
 * the tick, before the tick is written; then the window is replayed there before any tick is.
 */
export class ShardFences implements Pick<CacheStore, 'fence' | 'read'> {
  readonly #options: ShardFencesOptions
  readonly #shards = new Map<string, Shard>()
  #isFirst = true
  /** Shards that get what is fenced now; undefined: all that answer. */
  #only: ReadonlySet<string> | undefined
  #failure: unknown

  constructor(options: ShardFencesOptions) {
    this.#options = options
  }

  /** Whether every shard has acknowledged everything up to the position. */
  get isSettled(): boolean {
    return this.#shards.size > 0 && this.count('current') === this.#shards.size
  }

  count(standing: Standing): number {
    return [...this.#shards.values()].filter((shard) => shard.standing === standing).length
  }

  /**
   * Notes which shards there are, and asks those that were away whether they are back: at first all, and waits for their answers. A
   * shard that shows the tick of the last relay, and is on the server that it was written on, has all that was settled.
   */
  async attend(): Promise<void> {
    const names = this.#names()
    for (const name of this.#shards.keys()) if (names && !names.includes(name)) this.#shards.delete(name)
    for (const name of names ?? []) if (!this.#shards.has(name)) this.#shards.set(name, this.#added(name))
    for (const { from, to } of this.#options.shards.takeMoves()) {
      const shard = this.#shards.get(to)
      // What has moved is as old as the shard it came from.
      if (shard?.standing === 'current' && this.#shards.get(from)?.standing !== 'current') this.#doubt(shard)
    }
    const { clock } = this.#options
    const due = [...this.#shards.values()].filter(
      ({ standing, asking, askAtMs }) => standing === 'away' && !asking && askAtMs <= clock.monotonicMs(),
    )
    for (const shard of due) shard.asking = this.#ask(shard, this.#isFirst)
    if (!this.#isFirst) return
    this.#isFirst = names === undefined
    await Promise.all(due.map(({ asking }) => asking))
  }

  async fence(requests: readonly OrderedFence[]): Promise<FenceOutcome[]> {
    const { shards } = this.#options
    const outcomes: FenceOutcome[] = new Array(requests.length).fill('absent')
    const parts = new Map<string, number[]>()
    requests.forEach(({ key, copyOf }, at) => {
      // A copy is as old as the entry it was made of, wherever it lies.
      if (this.#only && !this.#only.has(shards.of(copyOf ?? key))) return
      const name = shards.of(key)
      const part = parts.get(name)
      if (part) part.push(at)
      else parts.set(name, [at])
    })
    await Promise.all(
      [...parts].map(async ([name, part]) => {
        const replies = await this.#deliver(
          name,
          part.map((at) => requests[at] as OrderedFence),
        )
        replies?.forEach((outcome, at) => {
          outcomes[part[at] as number] = outcome
        })
      }),
    )
    return outcomes
  }

  read(keys: readonly CacheKey[]): Promise<(StoredBytes | null)[]> {
    return this.#within('read', this.#options.store.read(keys))
  }

  /** Leaves a tick on every shard that is current, and a sign of life on those that are not yet. */
  async tick(epoch: number): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs()
    await Promise.all(
      [...this.#shards.values()].map(async (shard) => {
        if (shard.standing === 'away') return
        if (shard.standing === 'replaying' && nowMs - shard.toldMs < TELL_EVERY_MS) return
        shard.toldMs = nowMs
        await this.#tick(shard, epoch)
      }),
    )
  }

  /** Begins to replay for all shards that need it and are not at it yet. False: none is. */
  beginReplay(): boolean {
    const waiting = [...this.#shards.values()].filter(({ standing }) => standing === 'replaying')
    for (const shard of waiting) shard.isCovered = true
    return waiting.length > 0
  }

  /** Runs `work` with fences going to the shards of the replay only. */
  async duringReplay(work: () => Promise<void>): Promise<void> {
    this.#only = new Set([...this.#shards.values()].filter(({ isCovered }) => isCovered).map(({ name }) => name))
    try {
      await work()
    } finally {
      this.#only = undefined
    }
  }

  /** Everything of the window has been acknowledged by the shards the replay was for, but for those that failed meanwhile. */
  endReplay(): void {
    for (const shard of this.#shards.values()) {
      if (!shard.isCovered) continue
      shard.isCovered = false
      this.#become(shard, 'current')
    }
  }

  /** @throws what kept a call from ending: the relay is closing, or has lost its database while it waited for a shard. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Resolves when no question is on its way any more. */
  async idle(): Promise<void> {
    await Promise.all([...this.#shards.values()].map(({ asking }) => asking))
  }

  #names(): readonly string[] | undefined {
    try {
      return this.#options.shards.list()
    } catch {
      return undefined
    }
  }

  #added(name: string): Shard {
    const nothing = { server: '', isKnown: false, chain: '', number: 0, isCovered: false }
    const due = { askAtMs: 0, waitMs: FIRST_WAIT_MS, asking: undefined, toldMs: Number.NEGATIVE_INFINITY }
    return { name, standing: 'away', ...nothing, ...due }
  }

  async #ask(shard: Shard, mayContinue: boolean): Promise<void> {
    try {
      const state = await this.#within('look', this.#options.shards.look(shard.name))
      this.#found(shard, state)
      const isUnbroken = mayContinue && state.isKnown && readTick(state.tick)?.server === state.server
      this.#become(shard, isUnbroken ? 'current' : 'replaying')
    } catch {
      this.#postpone(shard)
    } finally {
      shard.asking = undefined
    }
  }

  /** Undefined: the shard is left behind. One that nobody knows yet is as good as away: it gets everything when it is found. */
  async #deliver(name: string, fences: readonly OrderedFence[]): Promise<FenceOutcome[] | undefined> {
    const shard = this.#shards.get(name)
    return shard && this.#persist(shard, 'fence', () => this.#options.store.fence(fences))
  }

  /** Asks a shard until it answers. Undefined: it is left behind, or was. */
  async #persist<Answer>(shard: Shard, operation: string, ask: () => Promise<Answer>): Promise<Answer | undefined> {
    const { clock, emit, whileWaiting } = this.#options
    const startedMs = clock.monotonicMs()
    for (let waitMs = FIRST_WAIT_MS; shard.standing !== 'away'; ) {
      try {
        return await this.#within(operation, ask())
      } catch (error) {
        emit({ type: 'cache.unavailable', operation, error })
        const isAlone = this.count('away') === this.#shards.size - 1
        if (!isAlone && clock.monotonicMs() - startedMs >= PATIENCE_MS) this.#leave(shard)
      }
      try {
        this.throwIfFailed()
        await whileWaiting(waitMs)
      } catch (error) {
        this.#failure ??= error
        return undefined
      }
      const isPatient = clock.monotonicMs() - startedMs < PATIENCE_MS
      waitMs = Math.min(2 * waitMs, isPatient ? PATIENCE_MS / 5 : MAX_WAIT_MS)
    }
    return undefined
  }

  async #tick(shard: Shard, epoch: number): Promise<void> {
    const { shards, chance } = this.#options
    if (!shard.isKnown) {
      const state = await this.#persist(shard, 'look', () => shards.look(shard.name))
      if (state && (state.isKnown || state.server !== shard.server)) this.#lost(shard, state)
      return
    }
    const isCurrent = shard.standing === 'current'
    const number = isCurrent ? shard.number + 1 : 0
    // A chain of its own for each sign of life: it shows by being another one, and proves nothing.
    const chain = isCurrent ? shard.chain : chance.token()
    const text = writeTick({ chain, number, epoch, server: isCurrent ? shard.server : '-' })
    const state = await this.#persist(shard, 'tick', () => shards.tick(shard.name, text, shard.server))
    if (state?.tick === text) shard.number = number
    else if (state) this.#lost(shard, state)
  }

  /** The shard is not on the server any more that acknowledged its fences. */
  #lost(shard: Shard, state: ShardState): void {
    this.#found(shard, state)
    this.#doubt(shard)
  }

  #found(shard: Shard, { server, isKnown }: ShardState): void {
    shard.server = server
    shard.isKnown = isKnown
  }

  /** Everything of the window has to come again, whether or not a replay is under way. */
  #doubt(shard: Shard): void {
    shard.isCovered = false
    this.#become(shard, 'replaying')
  }

  #leave(shard: Shard): void {
    shard.isCovered = false
    this.#become(shard, 'away')
    this.#postpone(shard)
  }

  #postpone(shard: Shard): void {
    shard.askAtMs = this.#options.clock.monotonicMs() + shard.waitMs
    shard.waitMs = Math.min(2 * shard.waitMs, MAX_WAIT_MS)
  }

  #become(shard: Shard, standing: Standing): void {
    if (standing === 'current') {
      shard.chain = this.#options.chance.token()
      shard.number = 0
    }
    if (standing !== 'away') shard.waitMs = FIRST_WAIT_MS
    if (shard.standing === standing) return
    shard.standing = standing
    this.#options.emit({ type: 'relay.shard', shard: shard.name, standing })
  }

  #within<Answer>(operation: string, answer: Promise<Answer>): Promise<Answer> {
    const late = () => new CacheUnavailableError(operation, new NoAnswer(DEADLINE_MS))
    return withinMs(this.#options.clock, DEADLINE_MS, answer, late)
  }
}

export interface ShardFencesOptions {
  readonly store: Pick<CacheStore, 'fence' | 'read'>
  readonly shards: CacheStore['shards']
  readonly clock: Clock
  readonly chance: Chance
  readonly emit: EmitEvent
  /** Resolves after so long. Rejects when there is nothing to wait for any more. */
  readonly whileWaiting: (ms: number) => Promise<void>
}
