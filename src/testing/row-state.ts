import { compareVersions } from '../core/version.js'

/** What a row was at some time, in an order that all of its states are in. */
export interface RowState {
  readonly version: string
  readonly absent: boolean
}

/** A deletion's version is the least that a row which comes back may have, so of two equal ones the deletion came first. */
export function compareStates(a: RowState, b: RowState): number {
  return compareVersions(a.version, b.version) || Number(b.absent) - Number(a.absent)
}

/** Index of the first item for which `holds`, given that it holds for all after it; the length when for none. */
export function firstIndex<Item>(items: readonly Item[], holds: (item: Item) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(items[middle] as Item)) high = middle
    else low = middle + 1
  }
  return low
}

/** What was known to whom and when: noted in the order of time, of which only what says more than all before is kept. */
export class Rising<Source> {
  readonly #noted: { readonly endedMs: number; readonly state: RowState; readonly source: Source }[] = []

  /** In order of `endedMs`. */
  note(endedMs: number, state: RowState, source: Source): void {
    const last = this.#noted.at(-1)
    if (last === undefined || compareStates(state, last.state) > 0) this.#noted.push({ endedMs, state, source })
  }

  /** The newest that had ended before `startedMs`. What ended in the very instant was concurrent. */
  before(startedMs: number): { readonly state: RowState; readonly source: Source } | undefined {
    return this.#noted[firstIndex(this.#noted, ({ endedMs }) => endedMs >= startedMs) - 1]
  }

  /** When something newer than `state` was first noted. */
  firstAfter(state: RowState): number | undefined {
    return this.#noted[firstIndex(this.#noted, (noted) => compareStates(noted.state, state) > 0)]?.endedMs
  }
}
