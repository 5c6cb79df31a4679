import type { Profile } from '../profile.js'
import { BASE, LATENCY, NEAR } from './base.js'

/** For runs of seconds, in which most of what happens would be heartbeats. */
const SLOW_BEATS = { ...NEAR, bus: { heartbeatMs: 200, trustMs: 700 } }

/** Misses are loaded from a standby that lags. */
const LAGGING = {
  ...BASE,
  options: NEAR,
  processes: 3,
  repository: { loadFrom: 'replica' },
  standbyLagMs: 120,
  clients: 4,
  calls: 10,
} satisfies Profile

export const STANDBYS = {
  standby: {
    ...LAGGING,
    about: 'misses are loaded from a standby that lags',
    startLate: 1,
    mix: { find: 14, update: 2, delete: 2, insert: 2 },
    faults: { evictFilled: 0.6, messageLost: 0.05, busReset: 0.3, pause: 0.3 },
    latency: { ...LATENCY, bus: { usualMs: 10, slowShare: 0.4, slowMs: 70 } },
  },
  forgotten: {
    ...LAGGING,
    about:
      'misses are loaded from a standby that lags, and fences are evicted, of which every process has heard at once',
    mix: { find: 14, update: 2, delete: 1, insert: 1 },
    faults: { evictFilled: 0.5, evictFenced: 0.6 },
    latency: { ...LATENCY, bus: { usualMs: 0, slowShare: 0, slowMs: 0 } },
  },
  receding: {
    ...LAGGING,
    about:
      'rows are refreshed early from a standby that lags, and the fences of what lies there are evicted, of which every process has heard at once',
    options: {
      ...NEAR,
      ttl: { freshMs: 300, absentMs: 20_000 },
      refresh: { beta: 8, maxEarliness: 0.9, maxLoads: 50 },
    },
    mix: { find: 14, update: 2 },
    faults: { evictFilled: 0.2, evictFenced: 0.6 },
    latency: { ...LATENCY, bus: { usualMs: 0, slowShare: 0, slowMs: 0 } },
  },
  lag: {
    ...BASE,
    about: 'a standby that lags for longer than fences are remembered',
    processes: 3,
    startLate: 1,
    options: SLOW_BEATS,
    repository: { loadFrom: 'replica' },
    standbyLagMs: 3_000,
    stormMs: 2_000,
    thinkMs: 120,
    calls: 12,
    mix: { find: 16, update: 2, delete: 1, insert: 1 },
    faults: { evictEntry: 8, messageLost: 0.1, busReset: 1, pause: 1 },
  },
  uncached: {
    ...BASE,
    about: 'misses are loaded from a standby that lags, and hardly anything stays cached',
    options: NEAR,
    startLate: 1,
    repository: { loadFrom: 'replica' },
    standbyLagMs: 200,
    clients: 4,
    mix: { find: 16, update: 1.5 },
    faults: { evictFilled: 0.95 },
    latency: { ...LATENCY, bus: { usualMs: 20, slowShare: 0.5, slowMs: 80 } },
  },
  stalls: {
    ...BASE,
    about: 'what a standby gave is on its way to the cache for longer than fences are remembered',
    options: SLOW_BEATS,
    repository: { loadFrom: 'replica' },
    standbyLagMs: 400,
    stormMs: 3_000,
    clients: 2,
    calls: 4,
    thinkMs: 500,
    mix: { find: 2, update: 1 },
    faults: { loadedStall: 0.9 },
    latency: { ...LATENCY, bus: { usualMs: 80, slowShare: 0.5, slowMs: 200 } },
  },
} satisfies Record<string, Profile>
