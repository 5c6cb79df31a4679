import type { OptionGroups } from '../../../src/config.js'
import type { Profile } from '../profile.js'

/** Everything about ten times as fast as by default, so that a run is short. */
export const OPTIONS = {
  ttl: { freshMs: 60_000, absentMs: 20_000 },
  lease: { minMs: 30, maxMs: 200, waitMs: 25 },
  refresh: { beta: 0 },
  load: { concurrency: 8, softTimeoutMs: 20, hardTimeoutMs: 4_000 },
  cache: { deadlineMs: 15, fenceDeadlineMs: 40, giveUpMs: 80, breakerProbeMs: 30, fenceMs: 1_000, maxFloors: 100 },
  l1: { maxEntries: 0 },
  bus: { heartbeatMs: 250, trustMs: 800 },
  relay: { pollMs: 60, electionMs: 80, keepMs: 60_000, replayMs: 60_000 },
} satisfies OptionGroups

/** Slow answers of the cache are waited for. */
export const PATIENT = {
  ...OPTIONS,
  cache: { ...OPTIONS.cache, deadlineMs: 100, fenceDeadlineMs: 100, giveUpMs: 200 },
}

/** With rows in memory, of which messages tell that they are old. */
export const NEAR = {
  ...OPTIONS,
  l1: { maxEntries: 100, maxAgeMs: 10_000 },
  bus: { heartbeatMs: 60, trustMs: 200 },
}

export const LATENCY = {
  redis: { usualMs: 1, slowShare: 0.2, slowMs: 12 },
  postgres: { usualMs: 3, slowShare: 0.4, slowMs: 50 },
  bus: { usualMs: 1, slowShare: 0.15, slowMs: 20 },
}

/** Most loads take longer than most writes. */
export const SLOW_LOADS = {
  ...LATENCY,
  postgres: { usualMs: 3, slowShare: 0.2, slowMs: 20 },
  load: { usualMs: 3, slowShare: 0.6, slowMs: 60 },
}

export const BASE: Profile = {
  about: '',
  processes: 2,
  relays: 0,
  ids: 1,
  clients: 3,
  calls: 8,
  thinkMs: 7,
  options: OPTIONS,
  repository: {},
  shards: 1,
  standbyLagMs: 0,
  mix: { find: 10, update: 3, insert: 1, delete: 1 },
  faults: {},
  latency: LATENCY,
}
