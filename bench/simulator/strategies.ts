import { DEFAULTS } from '../../src/config.js'

/** How one entry is kept. All are made of the shipped policies; what differs is which are on. */
export interface Strategy {
  readonly name: string
  /** One load at a time for the whole fleet. Without it each reader who decides to load does. */
  readonly leased: boolean
  /** XFetch's beta; 0 turns early refresh off. */
  readonly beta: number
  readonly maxEarliness: number
  /** Longest head start in load times; left out: as long as the draw gives. */
  readonly maxLoads?: number
  /** The last share of an entry's life in which it is served as it is while one load replaces it; 0: none. */
  readonly staleShare: number
}

const PLAIN = { leased: false, beta: 0, maxEarliness: 0.25, staleShare: 0 }

export const ttl: Strategy = { ...PLAIN, name: 'ttl' }
export const ttlLease: Strategy = { ...PLAIN, name: 'ttl + lease', leased: true }
export const staleWhileRevalidate: Strategy = {
  ...PLAIN,
  name: 'stale-while-revalidate',
  leased: true,
  staleShare: 0.2,
}

export function xfetch(beta: number): Strategy {
  return { ...PLAIN, name: `xfetch, beta ${beta}`, beta }
}

export function xfetchLease(beta: number): Strategy {
  return { ...PLAIN, name: `xfetch, beta ${beta} + lease`, beta, leased: true }
}

/** XFetch under a lease with a cap on the head start. */
export function cappedLease(beta: number, maxLoads: number): Strategy {
  return { ...xfetchLease(beta), name: `xfetch, beta ${beta}, at most ${maxLoads} loads early + lease`, maxLoads }
}

/** What Corral does unless it is told otherwise. */
export const shipped: Strategy = { ...PLAIN, ...DEFAULTS.refresh, name: 'as shipped', leased: true }

/** No lot: whoever comes within `headStartMs` of expiry has the entry refreshed. XFetch with a beta beyond all draws. */
export function fixedHeadStart(headStartMs: number, ttlMs: number): Strategy {
  return { ...PLAIN, name: 'fixed head start + lease', leased: true, beta: 1e9, maxEarliness: headStartMs / ttlMs }
}
