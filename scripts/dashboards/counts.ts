import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { execute } from '../../test/support/servers/database.js'

/** What Postgres needs to be started with so that it counts its statements. */
export const COUNTING = { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.max': '10000' }

/** What the servers themselves have counted. */
export interface ServerCounts {
  /** SELECTs that load rows of the shop. */
  readonly loads: number
  /** UPDATEs of the shop. */
  readonly writes: number
  /** Entries that were stored in Redis, copies of hot ones not counted. */
  readonly stored: number
}

/** Counts at Postgres by pg_stat_statements, and at Redis by MONITOR: neither knows of Corral. From `start` on. */
export class ServerCounters {
  readonly #postgresUrl: string
  readonly #monitor: Socket
  #stored = 0

  private constructor(postgresUrl: string, monitor: Socket, namespace: string) {
    this.#postgresUrl = postgresUrl
    this.#monitor = monitor
    createInterface({ input: monitor }).on('line', (line) => {
      // What a script does is shown as well as the call of it. Keys of a hot row's copies have a colon behind the brace.
      const [, key = ''] = /^\S+ \[\d+ lua\] "SET" "([^"]+)"/i.exec(line) ?? []
      if (key.startsWith(`${namespace}:{`) && !key.slice(namespace.length + 1).includes(':')) this.#stored++
    })
  }

  static async start(options: { postgresUrl: string; redisPort: number; namespace: string }): Promise<ServerCounters> {
    const { postgresUrl, redisPort, namespace } = options
    await execute(postgresUrl, 'create extension if not exists pg_stat_statements')
    await execute(postgresUrl, 'select pg_stat_statements_reset()')
    // A bare socket: MONITOR is no command with a reply.
    const monitor = connect(redisPort, '127.0.0.1')
    await once(monitor, 'connect')
    monitor.write('MONITOR\r\n')
    await once(monitor, 'data')
    return new ServerCounters(postgresUrl, monitor, namespace)
  }

  async read(): Promise<ServerCounts> {
    const [row] = await execute(
      this.#postgresUrl,
      // Not those that lock a row for an update, and not the one that looks at a table's columns and reads no row (`on false`, `on $1`).
      `select coalesce(sum(calls) filter (where query ~* '^select ' and query !~* ' for update$' and query !~* ' on (false|\\$\\d+)$'), 0)::int as loads,
        coalesce(sum(calls) filter (where query ~* '^update '), 0)::int as writes
       from pg_stat_statements where query ~ '"(products|inventory)"'
         and dbid = (select oid from pg_database where datname = current_database())`,
    )
    return { loads: Number(row?.loads), writes: Number(row?.writes), stored: this.#stored }
  }

  stop(): void {
    this.#monitor.destroy()
  }
}
