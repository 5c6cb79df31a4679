import type { Move } from './explore.js'
import { clone, type State } from './state.js'

/** Says what went wrong, if something did. */
type Change = (next: State) => string | undefined

/** Collects what can happen next in one state. */
export class Moves {
  readonly all: Move<State>[] = []
  readonly #state: State

  constructor(state: State) {
    this.#state = state
  }

  work(tell: () => string, change: Change): void {
    this.#add('work', tell, change)
  }

  choice(tell: () => string, change: Change): void {
    this.#add('choice', tell, change)
  }

  #add(kind: Move<State>['kind'], tell: () => string, change: Change): void {
    const to = clone(this.#state)
    const broken = change(to)
    this.all.push({ kind, tell, to, broken })
  }
}

/** As processes are called in stories. */
export function nameOf(process: number): string {
  return `p${process + 1}`
}

export function nameOfPlace(place: number): string {
  return place === 0 ? 'the entry' : `copy ${place}`
}
