import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import { waitUntil } from '../support/servers/wait.js'

/** Where the packed package is, for the tests of it. */
export interface PackedPackage {
  readonly tarball: string
  /** A project of a user: the package as npm would install it, beside what it declares, and nothing else. */
  readonly consumer: string
}

export type PackOutcome = PackedPackage | { readonly failure: string }

/** In the folder of global-setup.ts: what has come of it, as JSON. */
export const OUTCOME_FILE = 'outcome.json'

const PATIENCE_MS = 300_000

/** The package that global-setup.ts builds. Rejects with npm's complaint when it cannot be. */
export async function packed(): Promise<PackedPackage> {
  const file = join(inject('packing').folder, OUTCOME_FILE)
  await waitUntil('the package is packed', PATIENCE_MS, () => existsSync(file))
  const outcome = JSON.parse(readFileSync(file, 'utf8')) as PackOutcome
  if ('failure' in outcome) throw new Error(outcome.failure)
  return outcome
}
