import type { BusMessage } from './bus-message.js'
import { keepLast } from './keep-last.js'

/** Other processes whose numbering is remembered. */
const MAX_PUBLISHERS = 10_000

/**
 * The numbering of the other processes' messages, since this one is subscribed: tells what was missed, what was heard before, and
 * who has fallen silent.
 *
 * Bounded: beyond 10 000 the process heard longest ago is forgotten, and its next message is a gap.
 */
export class Publishers {
  readonly #heard = new Map<string, { readonly number: number; atMs: number }>()
  /** Stands for all who have not been heard since this process is subscribed: who they are nobody knows, but that they spoke until then. */
  #unknownAtMs = Number.POSITIVE_INFINITY

  /** This process is subscribed from now on, and has heard nobody. */
  begin(nowMs: number): void {
    this.#heard.clear()
    this.#unknownAtMs = nowMs
  }

  /**
   * `gap`: something was said that we did not hear. A publisher not heard before may have been talking while we were
   * subscribed, unless this is its first word.
   */
  hear({ publisher, number, leaves }: BusMessage, nowMs: number): 'next' | 'gap' | 'replayed' {
    const last = this.#heard.get(publisher)?.number ?? 0
    if (number <= last) return 'replayed'
    keepLast(this.#heard, publisher, { number, atMs: leaves ? Number.POSITIVE_INFINITY : nowMs }, MAX_PUBLISHERS)
    return number === last + 1 ? 'next' : 'gap'
  }

  /** Whether somebody who has not taken leave was last heard before `sinceMs`. Each silence is reported once. */
  someAreSilent(sinceMs: number): boolean {
    let silent = false
    for (const heard of this.#heard.values()) {
      if (heard.atMs >= sinceMs) continue
      heard.atMs = Number.POSITIVE_INFINITY
      silent = true
    }
    return silent
  }

  /** The same of those who were never heard: one of them may have ended after its fence and before its first word. */
  unknownAreSilent(sinceMs: number): boolean {
    if (this.#unknownAtMs >= sinceMs) return false
    this.#unknownAtMs = Number.POSITIVE_INFINITY
    return true
  }
}
