import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { makeDataFolder } from './data-folder.js'
import { createDatabase, type TestDatabase } from './database.js'
import { refuseForEnvironment, urlFromEnvironment } from './environment.js'
import { findPostgres } from './find-postgres.js'
import { LocalPostgres } from './local-postgres.js'
import { ALL_ORIGINS, type Origin } from './toolset.js'
import { makeWorkFolder } from './workspace.js'

export interface PostgresOptions {
  /** Server settings, such as `{ statement_timeout: '2s' }`; they win over those the tests run with. */
  readonly settings?: Readonly<Record<string, string>>
  /** A private server even when DATABASE_URL names one: for tests that freeze, kill or restart it. */
  readonly own?: boolean
  /** A private server with a system identifier of its own; others that this process starts may share one. */
  readonly isOwnSystem?: boolean
  /** Look in these places only. */
  readonly origins?: readonly Origin[]
}

/** A running Postgres. One that DATABASE_URL names can have databases made in it, but not be harmed. */
export interface PostgresServer {
  /** Of the superuser's database `postgres`; as given, for a server from DATABASE_URL. */
  readonly url: string
  readonly port: number
  /** Undefined for a server from DATABASE_URL. */
  readonly pid: number | undefined
  readonly proc: ChildProcess | undefined
  readonly origin: Origin
  /** A fresh database, gone after `stop()`; returns its URL. */
  createDatabase(name: string): Promise<string>
  /** A streaming standby that answers read-only queries. Stop it before this server. */
  makeStandby(options?: Pick<PostgresOptions, 'settings'>): Promise<PostgresStandby>
  /** Stops every process of the server where it stands; sockets stay open and nothing answers. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** SIGKILL to every process of the server. A `restart()` then recovers what was committed. */
  kill(): Promise<void>
  /** Back on the same port with the same data; a running server is shut down in good order first. */
  restart(): Promise<void>
  /** Ends the server and removes its data; for one from DATABASE_URL, drops the databases made here. */
  stop(): Promise<void>
}

export interface PostgresStandby extends PostgresServer {
  /** Makes the standby a primary on a new timeline; returns when it takes writes. */
  promote(): Promise<void>
}

/**
 * Starts a private Postgres, or uses the one that DATABASE_URL names.
 * Rejects, with the commands that help, when there is none to be had.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const origins = options.origins ?? ALL_ORIGINS
  const { isOwnSystem = false, settings = {} } = options
  if (options.own !== true && !isOwnSystem && origins.includes('environment')) {
    const url = await urlFromEnvironment('DATABASE_URL', 5432)
    if (url !== undefined) return new EnvironmentPostgres(url)
  }
  const toolset = await findPostgres(origins)
  const folder = makeWorkFolder('postgres')
  try {
    await makeDataFolder(toolset, folder, isOwnSystem)
    const server = new LocalPostgres({ toolset, folder, settings })
    await server.start()
    return server
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** The server that DATABASE_URL names: ours to use, not to break. */
class EnvironmentPostgres implements PostgresServer {
  readonly url: string
  readonly port: number
  readonly pid = undefined
  readonly proc = undefined
  readonly origin = 'environment'
  readonly #databases: TestDatabase[] = []

  constructor(url: URL) {
    this.url = url.href
    this.port = Number(url.port) || 5432
  }

  async createDatabase(name: string): Promise<string> {
    const database = await createDatabase(this.url, name)
    this.#databases.push(database)
    return database.url
  }

  async stop(): Promise<void> {
    for (const database of this.#databases.splice(0)) await database.drop()
  }

  makeStandby = () => refuse('make a standby of')
  freeze = () => refuse('freeze')
  thaw = () => refuse('thaw')
  kill = () => refuse('kill')
  restart = () => refuse('restart')
}

async function refuse(what: string): Promise<never> {
  throw refuseForEnvironment(what, 'DATABASE_URL', 'startPostgres')
}
