/** What a process has done since it last said so. */
export interface Counts {
  reads: number
  writes: number
  /** By the code of the error. */
  failedReads: Record<string, number>
  failedWrites: Record<string, number>
  /** Operations left out because too many were under way. */
  skipped: number
  /** SELECTs sent on behalf of the cache, and the most at once, of the primary and of the standby together. */
  loads: number
  mostLoadsAtOnce: number
  /** Longest wait for an answer, milliseconds. */
  slowestReadMs: number
  events: Record<string, number>
}

export function noCounts(): Counts {
  return {
    reads: 0,
    writes: 0,
    failedReads: {},
    failedWrites: {},
    skipped: 0,
    loads: 0,
    mostLoadsAtOnce: 0,
    slowestReadMs: 0,
    events: {},
  }
}

export function count(of: Record<string, number>, what: string, by = 1): void {
  of[what] = (of[what] ?? 0) + by
}

/** What an error is called in the figures. */
export function nameOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : String(name)
}
