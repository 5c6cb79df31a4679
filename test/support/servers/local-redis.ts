import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import type { RedisToolset } from './find-redis.js'
import type { RedisServer } from './redis.js'
import { redisCommand } from './redis-command.js'
import { ServerProcess } from './server-process.js'
import type { Origin } from './toolset.js'
import { waitUntil } from './wait.js'
import { makeWorkFolder } from './workspace.js'

/** Nothing on disk: a restarted Redis is an empty one, which is the case worth testing. */
const SETTINGS: Readonly<Record<string, string>> = {
  bind: '127.0.0.1',
  save: '',
  appendonly: 'no',
  'enable-debug-command': 'local',
  // A replica is to follow at once; the default waits 5 s for more of them.
  'repl-diskless-sync-delay': '0',
}

const START_LIMIT_MS = 10_000
const START_ATTEMPTS = 5

/** What a private Redis is made of. */
export interface LocalRedisParts {
  readonly toolset: RedisToolset
  readonly settings: Readonly<Record<string, string>>
  /** Where to listen; asked again when the port turns out to be taken. */
  readonly drawPort: () => Promise<number>
}

/** A private Redis in a folder of its own. */
export class LocalRedis implements RedisServer {
  readonly host = '127.0.0.1'
  readonly origin: Origin
  readonly #toolset: RedisToolset
  readonly #settings: Readonly<Record<string, string>>
  readonly #folder: string
  #port = 0
  #process: ServerProcess | undefined

  private constructor({ toolset, settings }: LocalRedisParts) {
    this.#toolset = toolset
    this.#settings = { ...SETTINGS, ...settings }
    this.#folder = makeWorkFolder('redis')
    this.origin = toolset.origin
  }

  /** Starts a server and returns it when it answers. Rejects with the end of its log when it does not. */
  static async start(parts: LocalRedisParts): Promise<LocalRedis> {
    const server = new LocalRedis(parts)
    for (let attempt = 1; ; attempt++) {
      server.#port = await parts.drawPort()
      try {
        await server.#launch()
        return server
      } catch (error) {
        if (attempt < START_ATTEMPTS && /address already in use/i.test((error as Error).message)) continue
        await server.stop()
        throw error
      }
    }
  }

  get url(): string {
    return `redis://${this.host}:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  get proc(): ChildProcess | undefined {
    return this.#process?.child
  }

  async freeze(): Promise<void> {
    await this.#process?.freeze()
  }

  async thaw(): Promise<void> {
    await this.#process?.thaw()
  }

  async kill(): Promise<void> {
    await this.#process?.kill()
  }

  async restart(): Promise<void> {
    await this.#process?.end()
    await this.#launch()
  }

  async stop(): Promise<void> {
    await this.#process?.end()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #launch(): Promise<void> {
    const settings = Object.entries({ ...this.#settings, port: String(this.#port), dir: this.#folder })
    // A value of several words ("replicaof host port") is several arguments; an empty one is an argument too.
    const flags = settings.flatMap(([name, value]) => [`--${name}`, ...value.split(' ')])
    const invocation = this.#toolset.invocation(this.#toolset.program, flags, this.#folder)
    const options = { folder: this.#folder, name: 'redis', endSignal: 'SIGTERM' } as const
    const started = ServerProcess.launch(invocation, options)
    this.#process = started
    try {
      await waitUntil(
        'Redis ready',
        START_LIMIT_MS,
        () => this.#isReady(started),
        () => started.ending,
      )
    } catch (error) {
      await started.kill()
      throw error
    }
  }

  /** At a port that was taken, it would be somebody else's server that answers; so it is asked for its pid. */
  async #isReady(started: ServerProcess): Promise<boolean> {
    const answer = await redisCommand(this.#port, 'INFO', 'server')
    return this.origin === 'docker' || answer.includes(`process_id:${started.pid}\r`)
  }
}
