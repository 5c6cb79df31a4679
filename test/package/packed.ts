import { inject } from 'vitest'

/** Where the packed package is, for the tests of it. */
export interface PackedPackage {
  readonly tarball: string
  /** A project of a user: the package as npm would install it, beside what it declares, and nothing else. */
  readonly consumer: string
}

/** The package that global-setup.ts has built. Throws npm's complaint when it could not be. */
export function packed(): PackedPackage {
  const outcome = inject('packed')
  if ('failure' in outcome) throw new Error(outcome.failure)
  return outcome
}
