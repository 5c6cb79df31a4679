import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks until the answer is yes, every few milliseconds. An error counts as "not yet".
 * Rejects after `limitMs`, naming what was waited for and the last error, and at once when `giveUp` returns a reason.
 */
export async function waitUntil(
  what: string,
  limitMs: number,
  ask: () => boolean | Promise<boolean>,
  giveUp: () => string | undefined = () => undefined,
): Promise<void> {
  const end = performance.now() + limitMs
  let last: unknown
  while (performance.now() < end) {
    const reason = giveUp()
    if (reason !== undefined) throw new Error(`${what}: ${reason}`)
    try {
      if (await ask()) return
      last = undefined
    } catch (error) {
      last = error
    }
    await sleep(10)
  }
  const found = last instanceof Error ? last.message : 'the answer stayed no'
  throw new Error(`${what}: not so after ${limitMs} ms (${found})`)
}
