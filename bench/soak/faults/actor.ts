import { TcpProxy } from '../../../test/support/tcp-proxy.js'
import { Worker } from '../../harness/crew.js'
import type { ActorChoice, ActorTalk, ActorWord, Pace } from './actor-talk.js'

const WORKER = new URL('actor-worker.ts', import.meta.url)

/** A process of the run, with ways of its own to every server. When it is killed, another takes its place under another name. */
export class Actor {
  readonly role: string
  /** Undefined on a cluster, whose nodes are called by their own names. */
  readonly redisWay: TcpProxy | undefined
  readonly postgresWay: TcpProxy
  readonly #choice: Omit<ActorChoice, 'name'>
  readonly #hear: (word: ActorWord, from: Actor) => void
  #worker: Worker<ActorTalk>
  #pid = 0
  #lives = 0
  #pace: Pace = { readsPerSecond: 0, writesPerSecond: 0 }

  private constructor(parts: {
    role: string
    redisWay: TcpProxy | undefined
    postgresWay: TcpProxy
    choice: Omit<ActorChoice, 'name'>
    hear: (word: ActorWord, from: Actor) => void
  }) {
    this.role = parts.role
    this.redisWay = parts.redisWay
    this.postgresWay = parts.postgresWay
    this.#choice = parts.choice
    this.#hear = parts.hear
    this.#worker = this.#begin()
  }

  static async start(
    role: string,
    choice: Omit<ActorChoice, 'name'>,
    hear: (word: ActorWord, from: Actor) => void,
  ): Promise<Actor> {
    const postgresWay = await TcpProxy.start({ port: Number(new URL(choice.postgresUrl).port) })
    const url = 'url' in choice.redis ? choice.redis.url : undefined
    const redisWay = url === undefined ? undefined : await TcpProxy.start({ port: Number(new URL(url).port) })
    const own = {
      ...choice,
      postgresUrl: postgresWay.through(choice.postgresUrl),
      redis: url === undefined || redisWay === undefined ? choice.redis : { url: redisWay.through(url) },
    }
    const actor = new Actor({ role, redisWay, postgresWay, choice: own, hear })
    await actor.#open()
    return actor
  }

  get ask(): Worker<ActorTalk>['ask'] {
    return this.#worker.ask.bind(this.#worker) as Worker<ActorTalk>['ask']
  }

  get servesFromStandby(): boolean {
    return this.#choice.replicaUrl !== undefined
  }

  async pace(pace: Pace): Promise<void> {
    this.#pace = pace
    await this.ask('pace', pace)
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.#pid !== 0) process.kill(this.#pid, signal)
  }

  /** SIGKILL, and another in its place. */
  async killAndReplace(): Promise<void> {
    await this.#worker.kill()
    await this.#replace()
  }

  /** Dies between COMMIT and fence, if it writes within so long; then another takes its place. */
  async dieAtNextFence(limitMs: number): Promise<void> {
    const worker = this.#worker
    await this.ask('dieAtNextFence')
    await Promise.race([worker.ended(), new Promise((resolve) => setTimeout(resolve, limitMs))])
    await worker.kill()
    await this.#replace()
  }

  async end(): Promise<void> {
    await this.#worker.stop()
    await Promise.all([this.redisWay?.close(), this.postgresWay.close()])
  }

  async #replace(): Promise<void> {
    this.#pid = 0
    this.#worker = this.#begin()
    await this.#open()
    await this.pace(this.#pace)
  }

  #begin(): Worker<ActorTalk> {
    const worker = new Worker<ActorTalk>(WORKER)
    worker.onSaid = (said) => this.#hear(JSON.parse(said) as ActorWord, this)
    return worker
  }

  async #open(): Promise<void> {
    const life = ++this.#lives
    const seed = this.#choice.seed + life * 1_000
    // A process' reads never go back in time; its successor's may.
    this.#pid = await this.ask('open', { ...this.#choice, seed, name: life === 1 ? this.role : `${this.role}.${life}` })
  }
}
