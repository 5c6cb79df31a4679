/**
 * Collects what one tick asks for and asks it at once: the lookups of a loop over `find` become one MGET, its misses
 * one SELECT. Nothing is delayed; the batch leaves when what is runnable anyway has run.
 *
 * A batch that fails fails all its requests with the same error; an error among the replies fails one.
 */
export class TickBatch<Request, Reply> {
  readonly #when: (leave: () => void) => void
  readonly #send: (requests: Request[]) => Promise<readonly (Reply | Error)[]>
  readonly #maxSize: number
  readonly #inTurn: boolean
  readonly #bind: (act: () => void) => () => void
  #depart = () => this.#leave()
  #isUnderWay = false
  #requests: Request[] = []
  #waiting: { resolve: (reply: Reply) => void; reject: (error: unknown) => void }[] = []

  constructor(options: {
    /** Calls back when a batch that has begun is to leave: `Clock.endOfTick`, as a rule. */
    when: (leave: () => void) => void
    /** Largest number of requests in one batch; a fuller one leaves at once. */
    maxSize: number
    /**
     * One batch at a time: what is asked for meanwhile leaves together when that is answered. So nobody waits for more than
     * the batch before, and each batch can keep its deadline. Default: false.
     */
    inTurn?: boolean
    /** Has a batch that waits for its turn leave as if from where its first request was made, not from where the one before was answered. */
    bind?: (act: () => void) => () => void
    send: (requests: Request[]) => Promise<readonly (Reply | Error)[]>
  }) {
    this.#when = options.when
    this.#send = options.send
    this.#maxSize = options.maxSize
    this.#inTurn = options.inTurn ?? false
    this.#bind = options.bind ?? ((act) => act)
  }

  ask(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#requests.push(request) === 1) {
        if (this.#isUnderWay && this.#inTurn) this.#depart = this.#bind(() => this.#leave())
        this.#when(() => this.#leave())
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
