/**
 * Milliseconds on the one clock that all processes of this machine share: CLOCK_MONOTONIC and its likes, which
 * `process.hrtime` reads, start with the machine and not with the process.
 */
export function sharedNowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Resolves no sooner than `dueMs` on the shared clock. The last two milliseconds are spent watching it, because timers are coarser. */
export async function sharedUntil(dueMs: number): Promise<void> {
  const waitMs = dueMs - sharedNowMs() - 2
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
  while (sharedNowMs() < dueMs) await new Promise((resolve) => setImmediate(resolve))
}
