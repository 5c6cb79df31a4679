/** How long a command may wait for Redis where that is not what is measured: a busy machine is no outage. */
export const DEADLINE_MS = 5_000

/** The same for Corral, where hits and fenced writes are measured and not what happens instead of them. */
export const PATIENT = {
  cache: { deadlineMs: DEADLINE_MS, fenceDeadlineMs: DEADLINE_MS, giveUpMs: 2 * DEADLINE_MS },
} as const
