import { Bus } from '../../../src/engine/bus.js'
import { Floors } from '../../../src/engine/floors.js'
import { Invalidation } from '../../../src/engine/invalidation.js'

/**
 * A mechanism that a run may be made without. The run has to report violations then; where it does not, it proves nothing.
 *
 * `relay`: nobody carries the outbox. `fence`: writers only say that they have fenced. `floor`: a process remembers of no row what it has
 * shown and written. `flush`: memory is trusted whatever may have been missed.
 */
export type Ablation = (typeof ABLATIONS)[number]

export const ABLATIONS = ['relay', 'fence', 'floor', 'flush'] as const

/** Takes the mechanisms out of this process that are not a matter of how it is put together. */
export function ablate(without: readonly Ablation[]): void {
  if (without.includes('floor')) {
    Floors.prototype.raise = () => {}
    Floors.prototype.seeAbsence = () => {}
  }
  if (without.includes('flush')) {
    Invalidation.prototype.flush = () => {}
    Bus.prototype.isLive = () => true
  }
}
