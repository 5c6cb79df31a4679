import { stamp } from '../adapters/codec/envelope.js'
import type { Written } from '../adapters/postgres/row-writer.js'
import type { OfferedRow, RowOffer } from '../core/change.js'
import type { CacheKey } from '../core/key.js'
import type { CanonicalId } from '../core/ports.js'
import type { Version } from '../core/version.js'
import type { EngineParts } from '../engine/filler.js'
import type { Sealer } from '../engine/sealer.js'

interface Versions {
  ask(id: CanonicalId): Promise<Version | undefined>
}

/** How long the fences of a write wait for the word that its row is still as written. Without it they only drop. */
const CONFIRM_MS = 50

/**
 * Written rows of one table, made ready to take the place of older entries (`onWrite: 'publish'`).
 *
 * The row a statement returns need not be the row its transaction commits: an AFTER trigger, a cascade or a later statement may have
 * changed it once more, and an entry made of it would be taken for current, because nothing would come to fence it. So after
 * COMMIT its stamp is compared with the row's, by a look at the key alone that shares a statement with others of the same tick. What
 * was changed by then is only dropped; what is changed later has fences of its own.
 */
export class RowOffers {
  readonly #parts: Pick<EngineParts, 'clock' | 'epoch' | 'store'>
  readonly #sealer: Sealer<object>
  readonly #versions: Versions
  readonly #maxBytes: number

  constructor(options: {
    parts: Pick<EngineParts, 'clock' | 'epoch' | 'store'>
    sealer: Sealer<object>
    /** The stamp that a row has now. */
    versions: Versions
    /** Largest payload that is published. */
    maxBytes: number
  }) {
    this.#parts = options.parts
    this.#sealer = options.sealer
    this.#versions = options.versions
    this.#maxBytes = options.maxBytes
  }

  /** Undefined when there is nothing to offer: the row has no stamp, cannot be cached, or is too large. */
  of(key: CacheKey, { row, id, version }: Written): RowOffer | undefined {
    if (version === undefined) return undefined
    // Now, and not when it is asked for: the application may change bytes in the row it was given before it commits.
    const made = this.#sealer.seal({ key, value: row, version, snapshot: '', epoch: this.#parts.epoch() })
    if ('refused' in made || made.sizeBytes > this.#maxBytes) return undefined
    const { sealed, keepMs } = made
    return {
      prepare: async (): Promise<OfferedRow | undefined> => {
        const bytes = stamp(sealed, Math.floor(this.#parts.store.nowMs()))
        return (await this.#isStill(id, version)) ? { sealed, keepMs, bytes } : undefined
      },
    }
  }

  #isStill(id: CanonicalId, version: Version): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#parts.clock.after(CONFIRM_MS, () => resolve(false))
      this.#versions
        .ask(id)
        .then(
          (now) => resolve(now === version),
          () => resolve(false),
        )
        .finally(cancel)
    })
  }
}
