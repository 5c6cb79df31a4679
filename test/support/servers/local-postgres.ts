import { type ChildProcess, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from './command.js'
import { createDatabase, execute } from './database.js'
import { freePort } from './free-port.js'
import type { PostgresOptions, PostgresStandby } from './postgres.js'
import { copyDataFolder } from './postgres-copy.js'
import { ServerProcess } from './server-process.js'
import type { Origin, Toolset } from './toolset.js'
import { waitUntil } from './wait.js'
import { makeWorkFolder } from './workspace.js'

/** Data of tests need not survive a power cut; all else is as production has it, logical decoding included. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // TCP only: a socket's path may have some 100 characters, which the path of a temp folder can exceed.
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  wal_level: 'logical',
  // The default of 5 s is what a promotion would now and then take.
  wal_retrieve_retry_interval: '100ms',
}

const START_LIMIT_MS = 30_000
const START_ATTEMPTS = 5

/** A private Postgres on a data folder of its own, which `folder` holds as `data`. */
export class LocalPostgres implements PostgresStandby {
  readonly origin: Origin
  readonly #toolset: Toolset
  readonly #folder: string
  readonly #data: string
  readonly #settings: Readonly<Record<string, string>>
  #port = 0
  #process: ServerProcess | undefined

  constructor(parts: { toolset: Toolset; folder: string; settings: Readonly<Record<string, string>> }) {
    this.#toolset = parts.toolset
    this.#folder = parts.folder
    this.#data = join(parts.folder, 'data')
    this.#settings = { ...SETTINGS, ...parts.settings }
    this.origin = parts.toolset.origin
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.#port}/postgres`
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

  /** Starts on a free port, or on another when somebody was quicker to take it. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#port = await freePort()
      try {
        return await this.#launch()
      } catch (error) {
        if (attempt === START_ATTEMPTS || !/address already in use/i.test((error as Error).message)) throw error
      }
    }
  }

  async createDatabase(name: string): Promise<string> {
    return (await createDatabase(this.url, name)).url
  }

  async makeStandby(options: Pick<PostgresOptions, 'settings'> = {}): Promise<PostgresStandby> {
    const folder = makeWorkFolder('standby')
    try {
      await copyDataFolder({ toolset: this.#toolset, url: this.url, from: this.#data, folder })
      const settings = { ...this.#settings, ...options.settings }
      const standby = new LocalPostgres({ toolset: this.#toolset, folder, settings })
      await standby.start()
      return standby
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  async promote(): Promise<void> {
    await execute(this.url, 'SELECT pg_promote(true, 60)')
  }

  async freeze(): Promise<void> {
    await this.#process?.freeze()
  }

  async thaw(): Promise<void> {
    await this.#process?.thaw()
  }

  async kill(): Promise<void> {
    await this.#process?.kill()
    this.#clearAfterKill()
  }

  async restart(): Promise<void> {
    // Fast shutdown: sessions are cut off and all is written. The immediate one of stop() would leave that to recovery.
    await this.#process?.end('SIGINT')
    await this.#launch()
  }

  async stop(): Promise<void> {
    await this.#process?.end()
    this.#clearAfterKill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #launch(): Promise<void> {
    const settings = Object.entries({ ...this.#settings, port: String(this.#port) })
    const flags = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const invocation = this.#toolset.invocation('postgres', ['-D', this.#data, ...flags], this.#folder)
    const options = { folder: this.#folder, name: 'postgres', endSignal: 'SIGQUIT' } as const
    const started = ServerProcess.launch(invocation, options)
    this.#process = started
    try {
      await waitUntil(
        'Postgres ready',
        START_LIMIT_MS,
        () => this.#isReady(),
        () => started.ending,
      )
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  /**
   * A killed server leaves its pid file, which would say "ready" for its successor, and a few bytes of shared memory,
   * which nobody else would ever free. Only called once every process of the server is gone.
   */
  #clearAfterKill(): void {
    const file = join(this.#data, 'postmaster.pid')
    if (!existsSync(file)) return
    const segment = readFileSync(file, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1]
    // A container's shared memory has its own numbers, and went with it.
    if (segment !== undefined && this.origin !== 'docker') freeSharedMemory(segment)
    rmSync(file)
  }

  /**
   * Reads the server's own word, line 8 of postmaster.pid ("standby" is that of one that answers queries). A connection
   * would not do: at a port that was taken, it would be somebody else's server that answers.
   */
  #isReady(): boolean {
    const file = join(this.#data, 'postmaster.pid')
    if (!existsSync(file)) return false
    const lines = readFileSync(file, 'utf8').split('\n')
    return Number(lines[3]) === this.#port && /^(ready|standby)\s*$/.test(lines[7] ?? '')
  }
}

function freeSharedMemory(segment: string): void {
  const ipcrm = findProgram('ipcrm')
  if (ipcrm !== undefined) spawnSync(ipcrm, ['-m', segment], { stdio: 'ignore' })
}
