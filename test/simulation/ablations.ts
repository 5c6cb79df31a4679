import type { RuleName } from '../model/rules.js'
import type { SourceEdit } from './bundle.js'
import type { ProfileName } from './profile.js'

/** A mechanism of the shipped code, and how it is taken out of it. */
export interface Ablation {
  /** The mechanism that is missing then. */
  readonly says: string
  readonly edits: readonly SourceEdit[]
  /** Where it shows. */
  readonly profiles: readonly ProfileName[]
}

const STORE = 'adapters/memory/memory-store.ts'
const FENCER = 'engine/fencer.ts'
const FILLER = 'engine/filler.ts'
const REPLICA_FILL = 'engine/replica-fill.ts'

/**
 * What the simulator has to notice. Names that the model has too (test/model/rules.ts) mean the same mechanism. Each edit replaces text that is
 * there exactly once; where it is not any more, the code has changed and the edit must follow.
 */
export const ABLATIONS = {
  fencesAtAll: {
    says: 'a write is followed by a fence',
    edits: [
      { file: FENCER, replace: 'const sending = this.#send(fences)', by: 'const sending = this.#send([])' },
      { file: FENCER, replace: '[sending, this.#differing(changes, sure)]', by: '[sending, this.#differing([], [])]' },
    ],
    profiles: ['rows'],
  },
  fencesAfterCommit: {
    says: 'a key is fenced after its COMMIT, not before',
    edits: [
      {
        file: 'transaction.ts',
        replace: '      workIsDone = true\n      return result',
        by: '      workIsDone = true\n      await fencer.afterCommit(log.changes)\n      return result',
      },
      {
        file: 'transaction.ts',
        replace: 'return { value, fence: await tellCache(fencer, session, log.changes) }',
        by: "return { value, fence: 'fenced' }",
      },
    ],
    profiles: ['transactions'],
  },
  fillNeedsItsLease: {
    says: 'a fill without its token is refused',
    edits: [{ file: STORE, replace: "if (guard.lease?.token !== request.token) return 'lease-lost'", by: '' }],
    profiles: ['rows'],
  },
  fenceRevokesLease: {
    says: 'a fence revokes the lease of a fill under way',
    edits: [
      {
        file: STORE,
        replace: '      endLease(guard)\n      if (request.replacement',
        by: '      if (request.replacement',
      },
    ],
    profiles: ['unstamped', 'comings'],
  },
  fillMustSatisfyFence: {
    says: 'a fill older than a fence is refused',
    edits: [{ file: STORE, replace: "if (isFenced(guard, request, this.nowMs())) return 'fenced'", by: '' }],
    profiles: ['standby'],
  },
  fenceIsAlwaysRemembered: {
    says: 'where loads may read a standby, a fence is remembered where nothing is cached too',
    edits: [
      {
        file: 'assembly.ts',
        replace: 'const rememberAlways = options.replica !== undefined',
        by: 'const rememberAlways = false',
      },
    ],
    profiles: ['standby'],
  },
  standbyMustSeeXids: {
    says: 'what no version orders lands from a standby only if that saw every fenced transaction',
    edits: [
      {
        file: STORE,
        replace: 'return (lostXid !== undefined && notSurelyVisible(lostXid)) || xids.some(notSurelyVisible)',
        by: 'return false',
      },
    ],
    profiles: ['standby'],
  },
  standbyMustShowHorizon: {
    says: 'a standby is believed only if it shows what the primary showed not long ago',
    edits: [
      {
        file: 'engine/replica-trust.ts',
        replace: 'if (horizon === undefined || compareVersions(xmin, horizon.xmax) < 0) return undefined',
        by: 'if (horizon === undefined) return undefined',
      },
    ],
    profiles: ['lag'],
  },
  standbyShowsOnlyStored: {
    says: 'what a standby gave is shown only after it was stored',
    edits: [{ file: REPLICA_FILL, replace: "if (outcome !== 'filled') return this.#skip('fenced')", by: '' }],
    profiles: ['standby'],
  },
  standbyIsHeldAgainstFloor: {
    says: 'what a standby gave is not stored below the floor',
    edits: [
      {
        file: REPLICA_FILL,
        replace: "    this.#trust.resume()\n    if (isBelowFloor(floors.get(key), loaded)) return this.#skip('floor')",
        by: '    this.#trust.resume()',
      },
      {
        file: REPLICA_FILL,
        replace: "    if (isBelowFloor(floors.get(key), loaded)) return this.#skip('floor')\n    const remainingMs",
        by: '    const remainingMs',
      },
    ],
    profiles: ['standby'],
  },
  replacesOnlyOlder: {
    says: 'a published row only takes the place of an older entry',
    edits: [
      { file: STORE, replace: 'request.replacement && version !== null && stored) {', by: 'request.replacement) {' },
    ],
    profiles: ['publish'],
  },
  refreshNeedsLease: {
    says: 'a refresh takes the lease like any fill',
    edits: [
      {
        file: FILLER,
        replace: "if (reply.outcome === 'leased') await this.#answer({ key, id, token, useless",
        by: "await this.#answer({ key, id, token: 'unleased', useless",
      },
      {
        file: STORE,
        replace: "if (guard.lease?.token !== request.token) return 'lease-lost'",
        by: "if (guard.lease?.token !== request.token && request.token !== 'unleased') return 'lease-lost'",
      },
    ],
    profiles: ['expiry', 'publish'],
  },
  floors: {
    says: 'a process shows nothing older than what it has shown or written',
    edits: [
      { file: 'engine/floors.ts', replace: '    return this.#floors.get(key)', by: '    return void key as never' },
    ],
    profiles: ['comings'],
  },
  floorRefusesAbsence: {
    says: 'a cached absence is not shown once the row was',
    edits: [{ file: 'policy/verdict.ts', replace: '      return !floor.absent', by: '      return false' }],
    profiles: ['comings'],
  },
  absenceIsAFloor: {
    says: 'a process that has seen that there is no row shows no cached row that may be older',
    edits: [
      {
        file: 'engine/floors.ts',
        replace: 'if (floor === undefined) this.#set(key, UNORDERED)',
        by: 'if (floor === undefined) return',
      },
    ],
    profiles: ['comings'],
  },
  floorsOutlastLoads: {
    says: 'a load that began before the floor rose does not lower it',
    edits: [
      {
        file: FILLER,
        replace: 'while (floors.get(key) !== known && isBelowFloor(floors.get(key), loaded)) {',
        by: 'while (false) {',
      },
    ],
    profiles: ['sessions', 'crowd'],
  },
  joinsOnlyWhatSaw: {
    says: 'who joins a fill that had begun takes its value only if no fence came meanwhile',
    edits: [
      {
        file: 'engine/reader.ts',
        replace: 'return !isLate || (await flight.landed) ? this.share(value, isLate) : MISSED_A_WRITE',
        by: 'return this.share(value, isLate)',
      },
    ],
    profiles: ['crowd'],
  },
  pendingIsNotRead: {
    says: 'a key whose fence is pending is not read from the cache',
    edits: [
      {
        file: 'assembly.ts',
        replace: 'isPending: (key) => pending.has(key) || outage.covers(key)',
        by: 'isPending: () => false',
      },
    ],
    profiles: ['unstamped'],
  },
  pendingIsSentAgain: {
    says: 'a fence the cache did not acknowledge is sent again',
    edits: [
      {
        file: 'engine/pending-fences.ts',
        replace: 'if (this.#cancelRetry || this.#fences.size === 0) return',
        by: 'return',
      },
    ],
    profiles: ['weather'],
  },
  doubtIsFencedTwice: {
    says: 'a COMMIT that was not answered is fenced again when its outcome is known',
    edits: [
      {
        file: FENCER,
        replace:
          'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {',
        by: 'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {\n    if (changes) return void (await this.afterCommit(changes.map((change) => ({ ...change, version: null }))))',
      },
    ],
    profiles: ['transactions'],
  },
  unknownCountsAsCommitted: {
    says: 'a COMMIT that was not answered counts as committed',
    edits: [
      {
        file: FENCER,
        replace:
          'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {',
        by: 'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {\n    if (changes) return',
      },
    ],
    profiles: ['transactions'],
  },
  relay: {
    says: 'every commit is fenced by the relay as well',
    edits: [{ file: 'jobs/leadership.ts', replace: '    await this.#carry(changes)', by: '' }],
    profiles: ['crashes'],
  },
  relayReplays: {
    says: 'after a failover the relay fences again what the new primary may have missed',
    edits: [
      {
        file: 'jobs/leadership.ts',
        replace: "replay.changes += await this.#fence(page.changes.filter((change) => change.kind === 'row'))",
        by: '',
      },
    ],
    profiles: ['failover'],
  },
  relayFencesCopies: {
    says: 'the relay fences the copies too',
    edits: [
      {
        file: 'assembly.ts',
        replace: 'new Fencer({ store: shards, ...behind, emit: () => {} })',
        by: 'new Fencer({ store: shards, ...behind, emit: () => {}, copiesOf: () => [] })',
      },
    ],
    profiles: ['hot'],
  },
  keepsOnlyWhatStayed: {
    says: 'L1 keeps a value only if nothing was invalidated since it was asked for',
    edits: [{ file: 'engine/l1.ts', replace: 'if (this.generation(slot) !== generation) return', by: '' }],
    profiles: ['unstamped'],
  },
  announcesAfterFence: {
    says: 'other processes are told after the fence',
    edits: [
      {
        file: FENCER,
        replace: '    const [sent, differing] = await Promise.all(',
        by: '    this.#announce(changes)\n    const [sent, differing] = await Promise.all(',
      },
      { file: FENCER, replace: '    if (!isBehind || this.#store.resends !== resends) announce()', by: '' },
    ],
    profiles: ['unstamped'],
  },
  forgetsTwiceUnstamped: {
    says: 'without a stamp, the writer drops its own copy once more after the fence',
    edits: [
      {
        file: FENCER,
        replace:
          '    for (const change of changes) if (!change.hasFloor || change.version === null) this.#invalidation.apply(change)',
        by: '',
      },
    ],
    profiles: ['unstamped'],
  },
  gapEmptiesNear: {
    says: 'a gap in the numbering empties L1',
    edits: [{ file: 'engine/bus.ts', replace: "        this.#flush('gap')\n", by: '' }],
    profiles: ['near', 'unstamped'],
  },
  trustRunsOut: {
    says: 'L1 answers only while heartbeats come back',
    edits: [{ file: 'engine/bus.ts', replace: 'return nowMs < this.#trustedUntilMs', by: 'return nowMs < Infinity' }],
    profiles: ['near'],
  },
  subscribingEmptiesNear: {
    says: 'a new subscription empties L1',
    edits: [{ file: 'engine/bus.ts', replace: "    this.#flush('subscribed')\n", by: '' }],
    profiles: ['near'],
  },
  shownOutdatesNear: {
    says: 'a reader who was shown a newer version drops the copy in L1',
    edits: [
      { file: 'engine/reader.ts', replace: '    this.#tier?.outdate(id, version ?? null)\n', by: '' },
      { file: FILLER, replace: '      this.#tier?.outdate(id, null)\n', by: '' },
      { file: FILLER, replace: '    this.#tier?.outdate(id, wasReset ? null : (loaded.version ?? null))\n', by: '' },
    ],
    profiles: ['near'],
  },
  copiesAfterEntry: {
    says: 'copies are fenced after their entry',
    edits: [
      {
        file: 'engine/fence-order.ts',
        replace: 'return [...cut(entries), ...cut(copies)]',
        by: 'return [...cut(copies), ...cut(entries)]',
      },
    ],
    profiles: ['hot'],
  },
  copiesAreFenced: {
    says: 'writers fence every copy a key may have, hot or not',
    edits: [
      {
        file: 'engine/hot-keys.ts',
        replace: 'if (this.#repositories.size === 0) return NO_KEYS\n',
        by: 'if (this.#repositories.size >= 0) return NO_KEYS\n',
      },
    ],
    profiles: ['hot'],
  },
  copyLeasesFirst: {
    says: 'the lease of a copy is taken before its entry is read',
    edits: [
      {
        file: 'engine/hot-copies.ts',
        replace: '    const lease = { key: copy, token, leaseMs',
        by: '    const early = await store.read(key).catch(() => null)\n    const lease = { key: copy, token, leaseMs',
      },
      {
        file: 'engine/hot-copies.ts',
        replace: 'this.#copyOf(copy, key, await store.read(key).catch(() => null))',
        by: 'this.#copyOf(copy, key, early)',
      },
    ],
    profiles: ['hot'],
  },
  acknowledgesAfterCopies: {
    says: 'a write is acknowledged when the last copy is fenced',
    edits: [
      {
        file: FENCER,
        replace: '    const fences = [...entries, ...entries.flatMap((entry) => this.#copyFences(entry))]',
        by: '    const fences = [...entries]\n    void this.#send(entries.flatMap((entry) => this.#copyFences(entry)))',
      },
    ],
    profiles: ['hot'],
  },
  fillCarriesEpochOfLoad: {
    says: 'a fill carries the epoch from before its load began',
    edits: [
      {
        file: FILLER,
        replace: 'const made = { ...loaded, epoch, ageMs',
        by: 'const made = { ...loaded, epoch: this.#parts.epoch(), ageMs',
      },
    ],
    profiles: ['epochs'],
  },
  epochRises: {
    says: 'what is not told row by row raises the epoch',
    edits: [
      {
        file: 'jobs/leadership.ts',
        replace: 'if (page.isGap || rows.length < page.changes.length) await this.#raiseEpoch()',
        by: 'if (page.isGap) await this.#raiseEpoch()',
      },
    ],
    profiles: ['epochs'],
  },
  epochIsJudged: {
    says: 'an entry of another epoch is a miss',
    edits: [{ file: 'policy/verdict.ts', replace: "if (entry.epoch !== demands.epoch) return 'other-epoch'", by: '' }],
    profiles: ['epochs'],
  },
  shapeIsJudged: {
    says: 'an entry of another shape is a miss',
    edits: [{ file: 'policy/verdict.ts', replace: "if (entry.shape !== demands.shape) return 'other-shape'", by: '' }],
    profiles: ['releases'],
  },
  sessionRaisesFloor: {
    says: 'a session raises the floor of the process that reads under it',
    edits: [
      { file: 'session.ts', replace: "  if (typeof demand === 'object') read.heed(demand)\n", by: '' },
      {
        file: 'session.ts',
        replace: "typeof demand === 'object' && !satisfies(demand, found, read) ? await read.primary() : found",
        by: 'found',
      },
    ],
    profiles: ['sessions'],
  },
  boundsAreProven: {
    says: 'a bounded read is answered by the cache only within what the watermark proves',
    edits: [
      {
        file: 'engine/bounded-reader.ts',
        replace: "if (provenAtMs < leastMs) return this.#load(key, id, asker, 'unproven')",
        by: '',
      },
    ],
    profiles: ['bounds'],
  },
  tickNamesItsServer: {
    says: 'a look at a tick counts only on the server that the tick was written on',
    edits: [{ file: 'engine/watermark.ts', replace: ' || tick.server !== server', by: '' }],
    profiles: ['bounds'],
  },
  oneLoadPerProcess: {
    says: 'readers of one process share a fill',
    edits: [
      {
        file: 'engine/reader.ts',
        replace: 'const current = this.#flights.current(key)',
        by: 'const current = undefined as never',
      },
    ],
    profiles: ['stampede'],
  },
  oneLoadPerLease: {
    says: 'one process of the fleet fills, the others wait',
    edits: [
      {
        file: STORE,
        replace: 'if (lease && lease.untilMs > now) return {',
        by: 'if (lease && lease.untilMs < 0) return {',
      },
    ],
    profiles: ['stampede'],
  },
  offersOnlyWhatStayed: {
    says: 'a written row is published only if it still is what the statement returned',
    edits: [
      {
        file: 'table/row-offers.ts',
        replace: '(await this.#isStill(id, version)) ?',
        by: '(await this.#isStill(id, version)) || true ?',
      },
    ],
    profiles: ['publish'],
  },
} as const satisfies Record<RuleName | string, Ablation>

export type AblationName = keyof typeof ABLATIONS
