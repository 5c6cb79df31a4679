import type { Clock } from '../../src/core/clock.js'
import type { Scheduler } from './scheduler.js'

const START_WALL_MS = 1_795_207_238_000

/**
 * Where one process runs: its clock, and whatever reaches it from outside. It can be stopped, as by SIGSTOP, and it can die. A stopped one
 * goes on with the timers that fell due, and reads its sockets then.
 */
export class Host {
  readonly clock: Clock
  readonly name: string
  readonly wallSkewMs: number
  isDead = false
  isStopped = false
  readonly #scheduler: Scheduler
  #dueTimers: (() => void)[] = []
  readonly #inboxes = new Map<unknown, (() => void)[]>()

  /** @param wallSkewMs by how much its idea of the time of day is wrong. */
  constructor(scheduler: Scheduler, name: string, wallSkewMs: number) {
    this.#scheduler = scheduler
    this.name = name
    this.wallSkewMs = wallSkewMs
    this.clock = {
      monotonicMs: () => scheduler.nowMs,
      wallMs: () => START_WALL_MS + scheduler.nowMs + wallSkewMs,
      after: (ms, act) => this.#after(ms, act),
      sleep: (ms, signal) => this.#sleep(ms, signal),
      endOfTick: (act) => scheduler.endOfTick(act),
      endOfTurn: (act) => scheduler.endOfTick(act),
    }
  }

  /** Something arrives from outside over this socket: now, when the process goes on, or never. */
  receive(act: () => void, socket: unknown = 'others'): void {
    if (this.isDead) return
    if (!this.isStopped) {
      act()
      return
    }
    const inbox = this.#inboxes.get(socket)
    if (inbox) inbox.push(act)
    else this.#inboxes.set(socket, [act])
  }

  stop(): void {
    this.isStopped = true
  }

  goOn(): void {
    if (this.isDead || !this.isStopped) return
    this.isStopped = false
    const due = this.#dueTimers
    this.#dueTimers = []
    // Each is a turn of its own, and nothing else comes between them.
    for (const act of [...due, ...this.#takeInboxes()]) this.#scheduler.after(0, () => this.receive(act))
  }

  /** What waits in the sockets: in order in each of them, and in any order among them. */
  #takeInboxes(): (() => void)[] {
    const taken: (() => void)[] = []
    const inboxes = [...this.#inboxes.values()]
    this.#inboxes.clear()
    while (inboxes.length > 0) {
      const inbox = this.#scheduler.pick(inboxes)
      const act = inbox.shift()
      if (act) taken.push(act)
      else inboxes.splice(inboxes.indexOf(inbox), 1)
    }
    return taken
  }

  die(): void {
    this.isDead = true
  }

  #after(ms: number, act: () => void): () => void {
    let isCancelled = false
    const fire = () => {
      if (!isCancelled) act()
    }
    const cancel = this.#scheduler.after(ms, () => {
      if (this.isDead || isCancelled) return
      if (this.isStopped) this.#dueTimers.push(fire)
      else act()
    })
    return () => {
      isCancelled = true
      cancel()
    }
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        cancel()
        reject(signal?.reason)
      }
      const cancel = this.#after(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}
