import { CacheUnavailableError } from '../../core/errors.js'
import { PartAnswer } from '../../core/part-answer.js'
import type { PartReply } from '../../core/ports.js'

/** What a node says of a key that it does not serve. ioredis asks where it is told to; when it has done so in vain, it says what it was told last. */
const REDIRECTION = /^(?:Too many Cluster redirections\. Last error: \w+: )?(?:MOVED|ASK|TRYAGAIN) /

/**
 * Whether a cluster has refused a command because of its slot, and not carried it out. The nodes are well: a slot that is on its way from one to
 * another, or was left half way, has keys on both, and no script can run on two keys of which one is here and the other there, or nowhere.
 */
export function isRedirection(error: unknown): boolean {
  return error instanceof Error && REDIRECTION.test(error.message)
}

/** What became of each request. Rejects when one failed for any other reason than its slot. */
export async function partsOf<Reply>(
  operation: string,
  replies: readonly Promise<Reply>[],
): Promise<PartReply<Reply>[]> {
  const settled = await Promise.allSettled(replies)
  return settled.map((each) => {
    if (each.status === 'fulfilled') return each.value
    if (!isRedirection(each.reason)) throw each.reason
    return new CacheUnavailableError(operation, each.reason)
  })
}

/** @throws PartAnswer unless all are replies. */
export function allOf<Reply>(parts: readonly PartReply<Reply>[]): Reply[] {
  if (parts.some((part) => part instanceof CacheUnavailableError)) throw new PartAnswer(parts)
  return parts as Reply[]
}
