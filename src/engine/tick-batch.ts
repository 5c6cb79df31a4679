import type { Clock } from '../core/clock.js'

/**
 * Collects what one tick asks for and asks it at once: the lookups of a loop over `find` become one MGET, its misses
 * one SELECT. Nothing is delayed; the batch leaves when the tick has nothing else to run.
 *
 * A batch that fails fails all its requests with the same error; an error among the replies fails one.
 */
export class TickBatch<Request, Reply> {
  readonly #clock: Pick<Clock, 'endOfTick'>
  readonly #send: (requests: Request[]) => Promise<readonly (Reply | Error)[]>
  readonly #maxSize: number
  readonly #inTurn: boolean
  readonly #isPrompt: boolean
  readonly #bind: (act: () => void) => () => void
  #depart = () => this.#leave()
  #isUnderWay = false
  #requests: Request[] = []
  #waiting: { resolve: (reply: Reply) => void; reject: (error: unknown) => void }[] = []

  constructor(options: {
    clock: Pick<Clock, 'endOfTick'>
    /** Largest number of requests in one batch; a fuller one leaves at once. */
    maxSize: number
    /**
     * One batch at a time: what is asked for meanwhile leaves together when that is answered. So nobody waits for more than
     * the batch before, and each batch can keep its deadline. Default: false.
     */
    inTurn?: boolean
    /**
     * Leaves when all have asked who were woken together with the first, ahead of what else the tick brings: somebody elsewhere waits for
     * it, and not for what this process does with its own answers. Default: false.
     */
    isPrompt?: boolean
    /** Has a batch that waits for its turn leave as if from where its first request was made, not from where the one before was answered. */
    bind?: (act: () => void) => () => void
    send: (requests: Request[]) => Promise<readonly (Reply | Error)[]>
  }) {
    this.#clock = options.clock
    this.#send = options.send
    this.#maxSize = options.maxSize
    this.#inTurn = options.inTurn ?? false
    this.#isPrompt = options.isPrompt ?? false
    this.#bind = options.bind ?? ((act) => act)
  }

  ask(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#requests.push(request) === 1) {
        if (this.#isUnderWay && this.#inTurn) this.#depart = this.#bind(() => this.#leave())
        if (this.#isPrompt) queueMicrotask(() => this.#leave())
        else this.#clock.endOfTick(() => this.#leave())
      }
      this.#waiting.push({ resolve, reject })
      if (this.#requests.length === this.#maxSize) this.#leave()
    })
  }

  #leave(): void {
    if (this.#requests.length === 0 || (this.#inTurn && this.#isUnderWay)) return
    const requests = this.#requests.splice(0, this.#maxSize)
    const waiting = this.#waiting.splice(0, this.#maxSize)
    this.#isUnderWay = true
    this.#send(requests).then(
      (replies) => {
        for (let i = 0; i < waiting.length; i++) {
          const reply = replies[i]
          if (reply instanceof Error) waiting[i]!.reject(reply)
          else waiting[i]!.resolve(reply as Reply)
        }
        this.#arrive()
      },
      (error) => {
        for (const { reject } of waiting) reject(error)
        this.#arrive()
      },
    )
  }

  #arrive(): void {
    this.#isUnderWay = false
    if (this.#inTurn) this.#depart()
  }
}
