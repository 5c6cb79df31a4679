/** Of the text's layout. A text of another one proves nothing. */
const FORMAT = 'C1'

/**
 * What the relay leaves on a shard when its fences are there: readers hold their bounds against it (`engine/watermark`).
 *
 * Tick n of a chain says: after tick n - 1 was written, the relay looked at the database, and every change it saw has been fenced on this
 * shard. That holds for whatever server shows the tick, because a replica receives fences and ticks in the order of its primary.
 */
export interface Tick {
  /** Unbroken work of one relay on one server. Numbers of different chains have nothing to do with each other. */
  readonly chain: string
  /** Counts up by one. 0 proves nothing: the relay is there, and carries changes again that the shard may have lost. */
  readonly number: number
  /** The namespace's epoch when the relay looked: what was not told row by row. */
  readonly epoch: number
  /** The server it was written on (`ShardState.server`). */
  readonly server: string
}

export function writeTick({ chain, number, epoch, server }: Tick): string {
  return [FORMAT, chain, number, epoch, server].join(' ')
}

/** Undefined for whatever is no tick. Never throws. */
export function readTick(text: string | undefined): Tick | undefined {
  const [format, chain, number, epoch, server, ...more] = (text ?? '').split(' ')
  if (format !== FORMAT || !chain || !server || more.length > 0) return undefined
  const counts = [Number(number), Number(epoch)]
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) return undefined
  return { chain, number: counts[0] as number, epoch: counts[1] as number, server }
}
