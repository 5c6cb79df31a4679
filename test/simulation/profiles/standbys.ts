import type { Profile } from '../profile.js'
import { BASE, LATENCY, NEAR } from './base.js'

/** For runs of seconds, in which most of what happens would be heartbeats. */
const SLOW_BEATS = { ...NEAR, bus: { heartbeatMs: 200, trustMs: 700 } }

export const STANDBYS = {
  standby: {
    ...BASE,
    about: 'misses are loaded from a standby that lags',
    options: NEAR,
    processes: 3,
    startLate: 1,
    repository: { loadFrom: 'replica' },
    standbyLagMs: 120,
    clients: 4,
    calls: 10,
    mix: { find: 14, update: 2, delete: 2, insert: 2 },
    faults: { evictFilled: 0.6, messageLost: 0.05, busReset: 0.3, pause: 0.3 },
    latency: { ...LATENCY, bus: { usualMs: 10, slowShare: 0.4, slowMs: 70 } },
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
    standbyLagMs: 300,
    stormMs: 2_500,
    clients: 2,
    calls: 5,
    thinkMs: 200,
    mix: { find: 3, update: 1 },
    faults: { evictFilled: 0.8, loadedStall: 0.5 },
    latency: { ...LATENCY, bus: { usualMs: 20, slowShare: 0.5, slowMs: 80 } },
  },
} satisfies Record<string, Profile>
