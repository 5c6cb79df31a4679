import type { Profile } from '../profile.js'
import { BASE, NEAR, SLOW_LOADS } from './base.js'

/** Quicker than elsewhere, so that a process can be stopped, or hear nothing, for much longer than it is trusted. */
const DOUBTFUL = { ...NEAR, bus: { heartbeatMs: 30, trustMs: 80 } }

export const MEMORY = {
  near: {
    ...BASE,
    about: 'rows in memory behind a bus that loses, repeats and reorders messages and dies without a word',
    options: DOUBTFUL,
    resubscribeMs: 80,
    clients: 4,
    mix: { ...BASE.mix, find: 14 },
    faults: {
      ...{ messageLost: 0.06, messageTwice: 0.04, messageOvertaken: 0.05, busReset: 2, busDeaf: 0.8, busStall: 0.4 },
      ...{ evictFilled: 0.1, pause: 0.6 },
    },
  },
  resets: {
    ...BASE,
    about: 'rows in memory, and subscriptions that are lost and come back when whoever wrote meanwhile has died',
    processes: 3,
    options: DOUBTFUL,
    resubscribeMs: 120,
    // One in each process: who dies has nothing in hand but the write that is fenced.
    clients: 3,
    calls: 12,
    mix: { find: 14, update: 2 },
    faults: { busReset: 4, fencedCrash: 0.6 },
  },
  frozen: {
    ...BASE,
    about: 'rows in memory of processes that are stopped for longer than they are trusted',
    options: { ...NEAR, bus: { heartbeatMs: 25, trustMs: 60 } },
    stormMs: 600,
    clients: 4,
    calls: 10,
    thinkMs: 25,
    mix: { find: 14, update: 3, primary: 1, verified: 0.5 },
    faults: { pause: 2 },
  },
  sessions: {
    ...BASE,
    about: 'users go from process to process, each under a session',
    clients: 5,
    calls: 6,
    options: NEAR,
    roams: true,
    ids: 2,
    mix: { find: 10, findMany: 1, update: 4, delete: 1, insert: 1, upsert: 1, transaction: 1 },
    faults: {
      commandLost: 0.06,
      messageLost: 0.4,
      busDeaf: 0.7,
      redisStall: 0.5,
      commitUnanswered: 0.03,
      evictFilled: 0.5,
    },
    latency: SLOW_LOADS,
  },
} satisfies Record<string, Profile>
