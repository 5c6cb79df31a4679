import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import pg from 'pg'
import type { Nemesis } from '../nemesis.js'
import type { Stage } from '../stage.js'

/** What happens to databases, and what others do in them for a long time. */
export const postgresNemeses: readonly Nemesis[] = [
  {
    name: 'postgres-restart',
    does: 'Postgres shuts down and starts again: every session is cut off',
    lane: 'servers',
    harmsDatabase: true,
    strike: ({ postgres }) => postgres.restart(),
  },
  {
    name: 'postgres-killed',
    does: 'SIGKILL to every process of Postgres, and recovery',
    lane: 'servers',
    harmsDatabase: true,
    async strike({ postgres }) {
      await postgres.kill()
      await postgres.restart()
    },
  },
  {
    name: 'killed-in-commit',
    does: 'COMMITs hang, and their sessions are terminated: they have committed, and nobody is told',
    lane: 'servers',
    harmsDatabase: true,
    async strike(stage) {
      // A standby of this name must confirm what is committed, and there is none. A session that waits for it has committed already.
      await configure(stage, 'nobody')
      try {
        for (let times = 0; times < 3; times++) {
          await sleep(250)
          await sql`select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`.execute(
            stage.db,
          )
        }
      } finally {
        await configure(stage, '')
      }
    },
  },
  {
    name: 'sessions-terminated',
    does: 'pg_terminate_backend of a third of all sessions, three times in 1 s',
    lane: 'servers',
    harmsDatabase: true,
    async strike(stage) {
      for (let times = 0; times < 3; times++) {
        await sql`select pg_terminate_backend(pid) from pg_stat_activity
          where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> 'stage' and random() < 0.3`.execute(
          stage.db,
        )
        await sleep(300)
      }
    },
  },
  {
    name: 'long-transaction',
    does: 'a transaction that wrote a few rows stays open for 6 s, and another one reads; half of the time it rolls back',
    lane: 'processes',
    async strike(stage) {
      const undo = stage.chance.number() < 0.5
      const first = Math.floor(stage.between(1, 200))
      await Promise.all([
        stage.outside(
          'begin',
          `update products set stock = stock + 1 where id in (${first}, ${first + 7})`,
          'select pg_sleep(6)',
          undo ? 'rollback' : 'commit',
        ),
        stage.outside(
          'begin isolation level repeatable read',
          'select count(*) from products',
          'select pg_sleep(6)',
          'commit',
        ),
      ]).catch(() => {})
    },
  },
  {
    name: 'replay-paused',
    does: 'the standby shows nothing new for 2 to 5 s',
    lane: 'servers',
    async strike(stage) {
      await onStandby(stage, 'select pg_wal_replay_pause()')
      await sleep(stage.between(2_000, 5_000))
      await onStandby(stage, 'select pg_wal_replay_resume()')
    },
  },
  {
    name: 'standby-frozen',
    does: 'SIGSTOP to the standby for 2 s: loads from it hang',
    lane: 'servers',
    async strike({ standby }) {
      await standby.freeze()
      await sleep(2_000)
      await standby.thaw()
    },
  },
]

async function configure(stage: Stage, standbys: string): Promise<void> {
  await sql`alter system set synchronous_standby_names = ${sql.lit(standbys)}`.execute(stage.db)
  await sql`select pg_reload_conf()`.execute(stage.db)
}

async function onStandby({ standby }: Stage, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: standby.url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
