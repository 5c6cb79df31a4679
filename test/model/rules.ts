/**
 * The mechanisms of the protocol, each of which can be taken out. `where` names the code that the model's is a picture of.
 */
export const RULES = {
  fencesAtAll: { says: 'a write is followed by a fence', where: 'engine/fencer.ts' },
  fencesAfterCommit: { says: 'a key is fenced after its COMMIT, not before', where: 'engine/fencer.ts' },
  fillNeedsItsLease: { says: 'a fill without its token is refused', where: 'FILL in adapters/redis/scripts.ts' },
  fenceRevokesLease: {
    says: 'a fence revokes the lease of a fill under way',
    where: 'FENCE in adapters/redis/scripts.ts',
  },
  fillMustSatisfyFence: { says: 'a fill older than a fence is refused', where: 'FILL in adapters/redis/scripts.ts' },
  fillMustNotBeOlder: { says: 'a fill does not replace a newer entry', where: 'FILL in adapters/redis/scripts.ts' },
  fenceIsAlwaysRemembered: {
    says: 'where loads may read a standby, a fence is remembered where nothing is cached too',
    where: '`rememberAlways` of FENCE in adapters/redis/scripts.ts',
  },
  standbyMustSeeXids: {
    says: 'what no version orders lands from a standby only if that saw every fenced transaction',
    where: 'FILL in adapters/redis/scripts.ts',
  },
  standbyMustShowHorizon: {
    says: 'a standby is believed only if it shows what the primary showed not long ago',
    where: 'engine/replica-trust.ts',
  },
  standbyFillHasItsTime: {
    says: 'a fill from a standby lands only while fences since its horizon are remembered',
    where: '`untilMs` of FILL in adapters/redis/scripts.ts',
  },
  standbyShowsOnlyStored: {
    says: 'what a standby gave is shown only after it was stored',
    where: 'engine/replica-fill.ts',
  },
  standbyIsHeldAgainstFloor: {
    says: 'what a standby gave is not stored below the floor',
    where: 'engine/replica-fill.ts',
  },
  replacesOnlyOlder: {
    says: 'a published row only takes the place of an older entry',
    where: 'FENCE in adapters/redis/scripts.ts',
  },
  refreshNeedsLease: { says: 'a refresh takes the lease like any fill', where: 'Filler.refresh in engine/filler.ts' },
  floors: { says: 'a process shows nothing older than what it has shown or written', where: 'engine/floors.ts' },
  floorRefusesAbsence: {
    says: 'a cached absence is not shown once the row was',
    where: 'isBelow in policy/verdict.ts',
  },
  absenceIsAFloor: {
    says: 'a process that has seen that there is no row shows no cached row that may be older',
    where: 'Floors.seeAbsence in engine/floors.ts',
  },
  floorsOutlastLoads: {
    says: 'a load that began before the floor rose does not lower it',
    where: 'Acceptance.accept in engine/acceptance.ts',
  },
  joinsOnlyWhatSaw: {
    says: 'who joins a fill that had begun takes its value only if no fence came meanwhile',
    where: 'Reader.#join in engine/reader.ts',
  },
  pendingIsNotRead: {
    says: 'a key whose fence is pending is not read from the cache',
    where: 'Reader.#pass in engine/reader.ts',
  },
  pendingIsSentAgain: {
    says: 'a fence the cache did not acknowledge is sent again',
    where: 'engine/pending-fences.ts',
  },
  doubtIsFencedTwice: {
    says: 'a COMMIT that was not answered is fenced again when its outcome is known',
    where: 'Fencer.afterUnknownCommit in engine/fencer.ts',
  },
  unknownCountsAsCommitted: {
    says: 'a COMMIT that was not answered counts as committed',
    where: 'Fencer.afterUnknownCommit in engine/fencer.ts',
  },
  offersOnlyWhatStayed: {
    says: 'a written row is published only if it still is what the statement returned',
    where: 'RowOffers in table/row-offers.ts',
  },
  relay: { says: 'every commit is fenced by the relay as well', where: 'jobs/relay.ts' },
  relayReplays: {
    says: 'after a failover the relay fences again what the new primary may have missed',
    where: 'jobs/relay.ts',
  },
  relayFencesCopies: { says: 'the relay fences the copies too', where: 'Fencer.afterCommit in engine/fencer.ts' },
  keepsOnlyWhatStayed: {
    says: 'L1 keeps a value only if nothing was invalidated since it was asked for',
    where: 'L1.remember in engine/l1.ts',
  },
  announcesAfterFence: {
    says: 'other processes are told after the fence',
    where: 'Fencer.afterCommit in engine/fencer.ts',
  },
  forgetsTwiceUnstamped: {
    says: 'without a stamp, the writer drops its own copy once more after the fence',
    where: 'Fencer.afterCommit in engine/fencer.ts',
  },
  gapEmptiesNear: { says: 'a gap in the numbering empties L1', where: 'Bus.#hear in engine/bus.ts' },
  trustRunsOut: { says: 'L1 answers only while heartbeats come back', where: 'Bus.isLive in engine/bus.ts' },
  subscribingEmptiesNear: { says: 'a new subscription empties L1', where: 'Bus.#up in engine/bus.ts' },
  shownOutdatesNear: {
    says: 'a reader who was shown a newer version drops the copy in L1',
    where: 'L1.outdate in engine/l1.ts',
  },
  copiesAfterEntry: { says: 'copies are fenced after their entry', where: 'engine/fence-order.ts' },
  copiesAreFenced: {
    says: 'writers fence every copy a key may have, hot or not',
    where: 'HotKeys.copiesOf in engine/hot-keys.ts',
  },
  copyLeasesFirst: {
    says: 'the lease of a copy is taken before its entry is read',
    where: 'HotCopies.#make in engine/hot-copies.ts',
  },
  acknowledgesAfterCopies: {
    says: 'a write is acknowledged when the last copy is fenced',
    where: 'Fencer.afterCommit in engine/fencer.ts',
  },
  fillCarriesEpochOfLoad: {
    says: 'a fill carries the epoch from before its load began',
    where: 'Filler.#loadAndStore in engine/filler.ts',
  },
  epochIsJudged: { says: 'an entry of another epoch is a miss', where: 'judge in policy/verdict.ts' },
  epochRises: { says: 'what is not told row by row raises the epoch', where: 'jobs/relay.ts, engine/epoch.ts' },
  sessionRaisesFloor: {
    says: 'a session raises the floor of the process that reads under it',
    where: 'readUnder in session.ts',
  },
} as const satisfies Record<string, { readonly says: string; readonly where: string }>

export type RuleName = keyof typeof RULES
export type Rules = Readonly<Record<RuleName, boolean>>

const NAMES = Object.keys(RULES) as RuleName[]

/** The protocol as it is, or without some of its mechanisms. */
export function rulesWithout(...taken: readonly RuleName[]): Rules {
  return Object.fromEntries(NAMES.map((name) => [name, !taken.includes(name)])) as Rules
}
