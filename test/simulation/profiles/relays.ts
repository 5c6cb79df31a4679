import type { Profile } from '../profile.js'
import { BASE, LATENCY, NEAR, OPTIONS, PATIENT } from './base.js'

/** Whatever is read is hot. */
const HOT = { ...PATIENT, hotKeys: { share: 0, perSecond: 0, copyTtlMs: 30_000, counters: 16 } }

/** Each process reads its own copy of what is hot. */
const SPREAD = {
  ...BASE,
  processes: 3,
  shards: 3,
  warmMs: 1_020,
  options: HOT,
  repository: { copies: 3 },
} satisfies Profile

export const RELAYS = {
  crashes: {
    ...BASE,
    about: 'processes die anywhere, commits are not answered, others write by SQL; relays make up for it',
    processes: 3,
    relays: 3,
    options: NEAR,
    ids: 2,
    mix: { find: 10, update: 4, insert: 1, delete: 1, transaction: 1 },
    faults: {
      crash: 1.5,
      outsideSql: 3,
      commitUnanswered: 0.08,
      messageLost: 0.3,
      statementLost: 0.01,
      pause: 0.3,
      redisReset: 0.5,
    },
    // A process that dies takes its fences along, so what it had not acknowledged is nobody's; what it had is.
  },
  failover: {
    ...BASE,
    about: 'replicas of the cache that lack acknowledged fences take over, or its servers start anew',
    processes: 3,
    relays: 2,
    options: NEAR,
    mix: { find: 10, update: 4, delete: 1, insert: 1 },
    faults: { redisFailover: 1.3, redisRestart: 0.3, redisReset: 0.5, crash: 0.3, outsideSql: 0.5, splitBrain: 0.2 },
  },
  copies: {
    ...SPREAD,
    about: 'copies of a hot key are made while it is written',
    clients: 6,
    calls: 6,
    mix: { find: 16, update: 3 },
    faults: { evictFenced: 0.7, messageLost: 0.5 },
    latency: { ...LATENCY, redis: { usualMs: 1, slowShare: 0.3, slowMs: 30 } },
  },
  hot: {
    ...SPREAD,
    about: 'each process reads its own copy of a hot key, on other servers than the entry',
    relays: 2,
    clients: 5,
    calls: 6,
    mix: { find: 16, update: 4, delete: 1, insert: 1 },
    faults: {
      crash: 0.6,
      outsideSql: 1.5,
      evictFilled: 0.15,
      evictFenced: 0.5,
      commandLost: 0.02,
      redisStall: 0.5,
      messageLost: 0.5,
    },
    latency: { ...LATENCY, redis: { usualMs: 1, slowShare: 0.3, slowMs: 25 } },
  },
  proofs: {
    ...BASE,
    about: 'reads that lack no change older than so long, while the only relay is stopped, and others write by SQL',
    relays: 1,
    options: NEAR,
    clients: 3,
    mix: { bounded: 12, find: 2, update: 1 },
    faults: { pause: 2, outsideSql: 4 },
  },
  bounds: {
    ...BASE,
    about: 'reads that lack no change older than so long, whatever fails',
    processes: 3,
    relays: 2,
    // A bound is proven by some ticks of the relay.
    stormMs: 500,
    thinkMs: 25,
    calls: 10,
    options: { ...NEAR, relay: { ...NEAR.relay, pollMs: 20 } },
    mix: { bounded: 12, find: 3, update: 3, delete: 1, insert: 1 },
    faults: {
      ...{
        redisFailover: 0.5,
        splitBrain: 0.4,
        formerFollows: 0.3,
        redisStall: 0.7,
        redisReset: 0.3,
        redisDown: 0.3,
        crash: 0.5,
        pause: 0.5,
      },
      ...{ outsideSql: 2, outsideBulk: 0.2, messageLost: 0.05, busDeaf: 0.3, evictGuard: 1 },
    },
  },
  followed: {
    ...BASE,
    about:
      'reads that lack no change older than so long, of processes that talk to a former primary, which follows the new one from afar',
    processes: 3,
    relays: 1,
    stormMs: 1_200,
    options: { ...OPTIONS, relay: { ...OPTIONS.relay, pollMs: 20 } },
    clients: 3,
    calls: 20,
    thinkMs: 60,
    mix: { bounded: 8, find: 8, update: 0.2 },
    // What is published on the new primary nobody hears who listens to the former one.
    faults: { redisFailover: 1, splitBrain: 0.4, formerFollows: 1, outsideSql: 6, messageLost: 0.8 },
  },
  epochs: {
    ...BASE,
    about: 'statements over many rows, which are told as one change of the table',
    relays: 1,
    ids: 2,
    stormMs: 700,
    options: {
      ...NEAR,
      lease: { minMs: 500, maxMs: 900, waitMs: 25 },
      relay: { pollMs: 20, electionMs: 80, keepMs: 60_000, replayMs: 60_000 },
    },
    mix: { find: 10, update: 2, insert: 1, delete: 1 },
    latency: {
      ...LATENCY,
      postgres: { usualMs: 2, slowShare: 0.1, slowMs: 10 },
      load: { usualMs: 2, slowShare: 0.5, slowMs: 300 },
    },
    faults: { outsideBulk: 1.5, outsideSql: 0.5, messageLost: 0.05, evictEntry: 1, redisRestart: 0.2 },
  },
} satisfies Record<string, Profile>
