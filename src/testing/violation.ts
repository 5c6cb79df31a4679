import type { LoadRecord, ReadRecord, RestRecord, WriteRecord } from './records.js'

/** One promise that was not kept, with what shows it. */
export type Violation =
  /** What was read was never committed: it was rolled back, or nobody wrote it. */
  | { readonly check: 'phantom'; readonly read: ReadRecord }
  /** A write had returned `fenced` before the read began, and the read shows less. `ageMs`: how long what it shows had been out of date. */
  | { readonly check: 'acknowledged'; readonly read: ReadRecord; readonly missed: WriteRecord; readonly ageMs: number }
  /** A read of the same process, which had ended before this one began, showed more. */
  | { readonly check: 'monotonic'; readonly read: ReadRecord; readonly before: ReadRecord }
  /** The same process had written it. */
  | { readonly check: 'own-writes'; readonly read: ReadRecord; readonly missed: WriteRecord }
  /** It had been written or read under the same session. */
  | { readonly check: 'session'; readonly read: ReadRecord; readonly missed: WriteRecord | ReadRecord }
  /** It was staler than it was allowed to be. */
  | { readonly check: 'bound'; readonly read: ReadRecord; readonly staleMs: number }
  /** A copy differs from its row although nothing is written any more. */
  | { readonly check: 'at-rest'; readonly found: RestRecord }
  /** A process loaded a row while it was loading it already. */
  | { readonly check: 'loads'; readonly load: LoadRecord; readonly during: LoadRecord }
  /** A row says another key or stamp of itself than it came with. */
  | { readonly check: 'label'; readonly read: ReadRecord }

export type CheckName = Violation['check']

export const CHECKS: readonly CheckName[] = [
  ...(['phantom', 'acknowledged', 'monotonic', 'own-writes', 'session'] as const),
  ...(['bound', 'at-rest', 'loads', 'label'] as const),
]

/** A violation in a sentence. */
export function describeViolation(violation: Violation): string {
  switch (violation.check) {
    case 'phantom':
      return `${told(violation.read)}, which was never committed`
    case 'acknowledged':
      return `${told(violation.read)}, though ${shown(violation.missed.version)} had been acknowledged; it was ${Math.round(violation.ageMs)} ms out of date`
    case 'monotonic':
      return `${told(violation.read)}, though it had been shown ${shown(violation.before.version)} before`
    case 'own-writes':
      return `${told(violation.read)}, though it had written ${shown(violation.missed.version)} itself`
    case 'session':
      return `${told(violation.read)}, though session ${violation.read.session} knew of ${shown(violation.missed.version)}`
    case 'bound':
      return `${told(violation.read)}, ${Math.round(violation.staleMs)} ms after it had changed; at most ${violation.read.maxStaleMs} ms were allowed`
    case 'at-rest': {
      const { place, key, version, stored } = violation.found
      return `${place} holds ${key} as ${shown(version)}, the database as ${shown(stored)}`
    }
    case 'loads': {
      const { process, key, startedMs } = violation.load
      return `${process} began to load ${key} at ${Math.round(startedMs)} ms, while it was loading it already`
    }
    case 'label': {
      const { says } = violation.read
      return `${told(violation.read)}, which says of itself that it is ${says?.key} in version ${says?.version}`
    }
  }
}

function told({ process, key, version }: ReadRecord): string {
  return `${process} was shown ${key} as ${shown(version)}`
}

function shown(version: string | null): string {
  return version === null ? 'absent' : `version ${version}`
}
