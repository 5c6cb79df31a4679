import type { RuleName } from './rules.js'
import type { ScopeName } from './scopes.js'

/** Where the protocol breaks without one of its mechanisms. */
export interface Ablation {
  /** The smallest scope that shows it. */
  readonly scope: ScopeName
  /** A mechanism that has to be taken out first: as long as it is there, this one is a second line of defence. */
  readonly behind?: RuleName
}

export const ABLATIONS: Readonly<Record<RuleName, Ablation>> = {
  fencesAtAll: { scope: 'rows' },
  fencesAfterCommit: { scope: 'rows' },
  fillNeedsItsLease: { scope: 'rows' },
  fenceRevokesLease: { scope: 'absences' },
  fillMustSatisfyFence: { scope: 'standby' },
  fillMustNotBeOlder: { scope: 'standby, entries', behind: 'standbyIsHeldAgainstFloor' },
  fenceIsAlwaysRemembered: { scope: 'standby' },
  standbyMustSeeXids: { scope: 'standby' },
  standbyMustShowHorizon: { scope: 'standby' },
  standbyFillHasItsTime: { scope: 'standby' },
  standbyShowsOnlyStored: { scope: 'standby' },
  standbyIsHeldAgainstFloor: { scope: 'standby, evicted' },
  replacesOnlyOlder: { scope: 'refreshes' },
  refreshNeedsLease: { scope: 'refreshes' },
  floors: { scope: 'joiners' },
  floorRefusesAbsence: { scope: 'absences' },
  absenceIsAFloor: { scope: 'absences' },
  floorsOutlastLoads: { scope: 'sessions' },
  joinsOnlyWhatSaw: { scope: 'joiners' },
  pendingIsNotRead: { scope: 'unstamped' },
  pendingIsSentAgain: { scope: 'pending' },
  doubtIsFencedTwice: { scope: 'doubts' },
  unknownCountsAsCommitted: { scope: 'doubts' },
  offersOnlyWhatStayed: { scope: 'triggers' },
  relay: { scope: 'crashes' },
  relayReplays: { scope: 'failover' },
  relayFencesCopies: { scope: 'copies' },
  keepsOnlyWhatStayed: { scope: 'near' },
  announcesAfterFence: { scope: 'near' },
  forgetsTwiceUnstamped: { scope: 'unstamped' },
  gapEmptiesNear: { scope: 'near' },
  trustRunsOut: { scope: 'near' },
  subscribingEmptiesNear: { scope: 'near' },
  shownOutdatesNear: { scope: 'near' },
  copiesAfterEntry: { scope: 'copies' },
  copiesAreFenced: { scope: 'copies' },
  copyLeasesFirst: { scope: 'copies' },
  acknowledgesAfterCopies: { scope: 'copies' },
  fillCarriesEpochOfLoad: { scope: 'epochs' },
  epochIsJudged: { scope: 'epochs' },
  epochRises: { scope: 'epochs' },
  sessionRaisesFloor: { scope: 'sessions' },
}
