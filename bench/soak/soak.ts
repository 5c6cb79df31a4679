import type { Target } from '../harness/scenario.js'

/** A run that is too long for the tests: `npm run soak -- <name>`. */
export interface Soak {
  readonly name: string
  /** What is done, in one line. */
  readonly title: string
  run(setting: SoakSetting): Promise<SoakResult>
}

export interface SoakSetting {
  /** Decides everything that is drawn by lot. What processes and servers make of it is theirs. */
  readonly seed: number
  /** A tenth of the length. */
  readonly quick: boolean
  note(line: string): void
}

export interface SoakResult {
  /** What must hold. The run fails where one does not. */
  readonly targets: readonly Target[]
  /** Further figures, one line each. */
  readonly remarks: readonly string[]
}
