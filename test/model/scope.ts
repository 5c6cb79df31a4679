import type { Rules } from './rules.js'
import type { Budget, Write } from './state.js'

export type Promised = 'acknowledged' | 'monotonic' | 'own writes' | 'at rest' | 'entries rise'

/** Who takes part, what may go wrong, and what is promised all the same. Small enough for every order of events to be tried. */
export interface Scope {
  readonly about: string
  readonly initially: 'row' | 'absent'
  readonly processes: number
  readonly readers: readonly { readonly process: number; readonly reads: number; readonly carriesSession?: boolean }[]
  readonly writers: readonly { readonly process: number; readonly writes: readonly Write[] }[]
  readonly faults?: Partial<Budget>
  readonly promises: readonly Promised[]
  /** Processes have an L1, and hear each other. */
  readonly near?: boolean
  /** They hear each other, without an L1. */
  readonly bus?: boolean
  /** The key is hot: each process reads its own copy. */
  readonly hot?: boolean
  /** False: the table has no version stamp. */
  readonly stamped?: boolean
  /** Misses are loaded from a standby that may lag. */
  readonly standby?: boolean
  readonly relay?: boolean
  /** Writes publish the new row. */
  readonly publishes?: boolean
}

export function hasBus({ near, bus }: Scope): boolean {
  return near === true || bus === true
}

/** What is explored: these people under these rules. */
export interface Protocol {
  readonly scope: Scope
  readonly rules: Rules
}
