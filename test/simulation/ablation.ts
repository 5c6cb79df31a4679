import type { SourceEdit } from './bundle.js'
import type { ProfileName } from './profiles.js'

/** A mechanism of the shipped code, and how it is taken out of it. */
export interface Ablation {
  /** The mechanism that is missing then. */
  readonly says: string
  readonly edits: readonly SourceEdit[]
  /** Mechanisms that would cover up for it. They are missing in what it is held against as well: it has to be missed beyond them. */
  readonly behind?: readonly SourceEdit[]
  /** Where it shows. */
  readonly profiles: readonly ProfileName[]
}
