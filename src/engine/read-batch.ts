import type { CacheUnavailableError } from '../core/errors.js'
import type { CacheKey } from '../core/key.js'
import type { StoredBytes } from '../core/ports.js'

/** What the cache says about one key: an entry, nothing (null), or that it does not answer. */
export type Reply = StoredBytes | null | CacheUnavailableError

/** Where the reply to a key will be: at this place among those of the batch it travels in. */
export interface ReplyPlace {
  /** Never rejects: each key has a reply, if only an error. One promise for the whole batch, because a batch is read by very many. */
  replies: Promise<readonly Reply[]>
  at: number
}

/** The keys that are read in one tick, on their way to the cache and back. */
export class ReadBatch {
  readonly replies: Promise<readonly Reply[]>
  readonly #keys: CacheKey[] = []
  #resolve: (replies: readonly Reply[]) => void = () => {}

  constructor() {
    this.replies = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get size(): number {
    return this.#keys.length
  }

  add(key: CacheKey, place: ReplyPlace): void {
    place.replies = this.replies
    place.at = this.#keys.push(key) - 1
  }

  leave(send: (keys: readonly CacheKey[]) => Promise<readonly Reply[]>): void {
    send(this.#keys).then(this.#resolve, (error) => this.#resolve(this.#keys.map(() => error)))
  }
}
