import { machineMs } from '../../src/core/clock.js'

/**
 * Resolves no sooner than `dueMs` on the clock that all processes of this machine share, and hardly a millisecond later where a processor is free.
 * Nobody watches the clock meanwhile: several processes that did would take the processors from the one that has begun.
 */
export async function sharedUntil(dueMs: number): Promise<void> {
  for (let waitMs = dueMs - machineMs(); waitMs > 0; waitMs = dueMs - machineMs()) {
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(waitMs)))
  }
}
