import type { Clock } from '../../core/clock.js'
import type { Inside } from '../../inside.js'

/** What is examined, and by what means. */
export interface Patient {
  readonly inside: Inside
  readonly clock: Clock
  /** Servers to look at besides those that the cluster or the sentinels name: `host:port`. */
  readonly seeds: readonly string[]
  /** A Redis user that may look at settings, where the application's may not. */
  readonly admin: { readonly username: string; readonly password: string } | undefined
}

/** From the environment, where a password does not show in the list of processes. */
export function adminOf(env: Readonly<Record<string, string | undefined>>): Patient['admin'] {
  const { CORRAL_ADMIN_USERNAME: username = 'default', CORRAL_ADMIN_PASSWORD: password } = env
  return password === undefined ? undefined : { username, password }
}

/** How long a server may take over one question. */
export const ANSWER_LIMIT_MS = 2_000

/** Rejects when there is no answer in time. */
export async function within<Value>(clock: Clock, work: Promise<Value>, limitMs = ANSWER_LIMIT_MS): Promise<Value> {
  const over = new AbortController()
  const late = clock.sleep(limitMs, over.signal).then(
    () => {
      throw new Error(`no answer within ${limitMs} ms`)
    },
    () => new Promise<never>(() => {}),
  )
  try {
    return await Promise.race([work, late])
  } finally {
    over.abort()
  }
}
