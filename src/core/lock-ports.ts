/** The seams of fenced locks, see `engine/fenced-locks`. As in `ports.ts`, the engine acts only through these. */

/** Numbers the holders of locks, in the database that decides. Implementation: `adapters/postgres/lock-tokens`. */
export interface LockTokens {
  /** Makes the caller the newest holder of `name`. @throws SourceError, ConfigError */
  issue(name: string): Promise<IssuedToken>
  /** The caller lets go. */
  release(name: string, token: string): Promise<void>
}

export interface IssuedToken {
  /** A whole number as text, higher than every one that was issued for this name before. */
  readonly token: string
  /** Holders that have not let go since one last did so in good order. */
  readonly others: number
}

/** Keeps others from trying while a holder is well. Saves effort; protects nothing. Any call may fail. */
export interface LockHints {
  /** False: somebody else has it. */
  take(name: string, holder: string, ttlMs: number): Promise<boolean>
  /** False: it is not this holder's any more. */
  renew(name: string, holder: string, ttlMs: number): Promise<boolean>
  /** Only what is still this holder's. */
  release(name: string, holder: string): Promise<void>
}
