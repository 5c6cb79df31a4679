/**
 * Milliseconds on the one clock that all processes of this machine share: CLOCK_MONOTONIC and its likes, which
 * `process.hrtime` reads, start with the machine and not with the process.
 */
export function sharedNowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * Resolves no sooner than `dueMs` on the shared clock, and hardly a millisecond later where a processor is free. Nobody watches the clock
 * meanwhile: several processes that did would take the processors from the one that has begun.
 */
export async function sharedUntil(dueMs: number): Promise<void> {
  for (let waitMs = dueMs - sharedNowMs(); waitMs > 0; waitMs = dueMs - sharedNowMs()) {
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(waitMs)))
  }
}
