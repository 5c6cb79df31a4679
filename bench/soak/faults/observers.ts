import type { CorralEvent } from '../../../src/index.js'
import { History, Observer } from '../../../src/testing.js'
import { type NamedRead, READ_KINDS, type ReadKind } from './actor-talk.js'

/** An observer for each kind of read, so that a read which is reported can be found again. All of them note into one history. */
export class Observers {
  readonly #observers: ReadonlyMap<ReadKind, Observer>

  constructor(process: string, to: History) {
    this.#observers = new Map(
      READ_KINDS.map((kind) => {
        const history = new History()
        history.read = (record) => to.read({ ...record, kind } as NamedRead)
        history.write = (record) => to.write(record)
        return [kind, new Observer({ process, history })]
      }),
    )
  }

  of(kind: ReadKind): Observer {
    return this.#observers.get(kind) as Observer
  }

  /** Bound, to be handed on. */
  readonly onEvent = (event: CorralEvent): void => {
    for (const observer of this.#observers.values()) observer.onEvent(event)
  }
}
