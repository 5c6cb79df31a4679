import type { PartReply } from './ports.js'

/**
 * Thrown by a store that has answered, but serves some keys to nobody for now. `replies` has for each request, in order, what became of it. Whoever
 * does not look takes the call for one that failed; that it did not reach the store it does not mean.
 */
export class PartAnswer extends Error {
  readonly replies: readonly PartReply<unknown>[]

  constructor(replies: readonly PartReply<unknown>[]) {
    const refused = replies.filter((reply) => reply instanceof Error)
    super(`${refused.length} of ${replies.length} were refused: ${refused[0]?.cause}`)
    this.name = 'PartAnswer'
    this.replies = replies
  }
}
