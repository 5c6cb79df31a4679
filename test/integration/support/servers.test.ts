import { Cluster, Redis } from 'ioredis'
import { Client } from 'pg'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { execute } from '../../support/servers/database.js'
import { type PostgresServer, startPostgres } from '../../support/servers/postgres.js'
import { startRedis, startRedisWithReplica } from '../../support/servers/redis.js'
import { startRedisCluster } from '../../support/servers/redis-cluster.js'
import { freshDatabase, postgresUrl, redisClusterNodes, redisUrl } from '../../support/services.js'

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

/** What a promise does within the time: its value, or that it is still waiting. */
function within<T>(ms: number, promise: Promise<T>): Promise<T | 'still waiting'> {
  return Promise.race([promise, new Promise<'still waiting'>((resolve) => setTimeout(resolve, ms, 'still waiting'))])
}

describe('the servers of the run', () => {
  test('answer, and give every test file a database of its own', async () => {
    const url = await freshDatabase()
    await execute(url, 'CREATE TABLE mark ()')
    expect(new URL(url).pathname).not.toBe(new URL(postgresUrl()).pathname)

    const redis = new Redis(redisUrl())
    undo.push(() => redis.disconnect())
    expect(await redis.ping()).toBe('PONG')
    const cluster = new Cluster(redisClusterNodes())
    undo.push(() => cluster.disconnect())
    expect(await cluster.set('servers-test', '1', 'PX', 1_000)).toBe('OK')
  })
})

test('a session that is handed on has nothing left in it', async () => {
  const url = await freshDatabase()
  const left = [`SET work_mem = '7MB'`, 'SELECT pg_advisory_lock(7)', 'CREATE TEMP TABLE mark ()']
  const [first] = await execute(url, ...left, 'SELECT pg_backend_pid() AS pid')
  const look = `SELECT pg_backend_pid() AS pid, current_setting('work_mem') AS work_mem, to_regclass('mark') AS mark,
    (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks`
  const [second] = await execute(url, look)
  expect(second).toMatchObject({ pid: first?.pid, mark: null, locks: 0 })
  expect(second?.work_mem).not.toBe('7MB')
  await execute(url, 'BEGIN', 'CREATE TABLE mark ()')
  expect(await execute(url, `SELECT to_regclass('mark') AS mark`)).toEqual([{ mark: null }])
})

describe('a private Postgres', () => {
  async function start(): Promise<PostgresServer> {
    const server = await startPostgres({ own: true, settings: { statement_timeout: '1234ms' } })
    undo.push(() => server.stop())
    return server
  }

  test('takes the settings asked for', async () => {
    const server = await start()
    expect(await execute(server.url, 'SHOW statement_timeout')).toEqual([{ statement_timeout: '1234ms' }])
    expect(await execute(server.url, 'SHOW wal_level')).toEqual([{ wal_level: 'logical' }])
  })

  test('shares nothing with others, and is a system of its own where that is asked for', async () => {
    const servers = [await start(), await start(), await startPostgres({ isOwnSystem: true })]
    undo.push(() => servers[2]?.stop())
    const systems = []
    for (const [nth, { url }] of servers.entries()) {
      await execute(url, `CREATE TABLE mark AS SELECT ${nth} AS nth`)
      const [row] = await execute(url, 'SELECT system_identifier::text AS id, nth FROM pg_control_system(), mark')
      expect(row?.nth).toBe(nth)
      systems.push(row?.id)
    }
    expect(systems.slice(0, 2)).not.toContain(systems[2])
  })

  test('answers nothing while frozen and goes on where it stood', async () => {
    const server = await start()
    const client = new Client({ connectionString: server.url })
    await client.connect()
    undo.push(() => client.end())
    await server.freeze()
    const asked = client.query('SELECT 1 AS one')
    expect(await within(100, asked)).toBe('still waiting')
    await server.thaw()
    expect((await asked).rows).toEqual([{ one: 1 }])
  })

  test('keeps what was committed when it is killed and restarted on its port', async () => {
    const server = await start()
    const url = await server.createDatabase('kept')
    await execute(url, 'CREATE TABLE kept AS SELECT 7 AS seven')
    await server.kill()
    await expect(execute(url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/)
    await server.restart()
    expect(await execute(url, 'SELECT * FROM kept')).toEqual([{ seven: 7 }])
    await server.restart()
    expect(await execute(url, 'SELECT * FROM kept')).toEqual([{ seven: 7 }])
  })

  test('has a standby that follows it and can take its place', async () => {
    const server = await start()
    const standby = await server.makeStandby()
    undo.push(() => standby.stop())
    await execute(server.url, 'CREATE TABLE followed AS SELECT 1 AS one')
    await expect.poll(() => execute(standby.url, 'SELECT * FROM followed').catch(() => 'not yet')).toEqual([{ one: 1 }])
    await expect(execute(standby.url, 'CREATE TABLE refused ()')).rejects.toThrow(/read-only/)
    await server.kill()
    await standby.promote()
    await execute(standby.url, 'CREATE TABLE allowed ()')
  })
})

describe('a Postgres from the environment', () => {
  async function startFromEnvironment(url: string): Promise<PostgresServer> {
    vi.stubEnv('DATABASE_URL', url)
    undo.push(() => vi.unstubAllEnvs())
    return startPostgres()
  }

  test('is used, and has nothing of ours in it afterwards', async () => {
    const server = await startFromEnvironment(postgresUrl())
    expect([server.origin, server.url]).toEqual(['environment', postgresUrl()])
    const url = await server.createDatabase('guest')
    await execute(url, 'CREATE TABLE mark ()')
    await server.stop()
    await expect(execute(url, 'SELECT 1')).rejects.toThrow(/does not exist/)
    expect(await execute(postgresUrl(), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('is not harmed', async () => {
    const server = await startFromEnvironment(postgresUrl())
    for (const harm of [server.freeze, server.kill, server.restart, server.makeStandby]) {
      await expect(harm()).rejects.toThrow('Ask for a private one: startPostgres({ own: true })')
    }
  })

  test('that does not answer is an error that names the variable', async () => {
    // Nothing of ours, and no client's connection, is ever given port 1.
    await expect(startFromEnvironment('postgres://127.0.0.1:1/none')).rejects.toThrow(
      'DATABASE_URL names 127.0.0.1:1, which does not answer',
    )
  })
})

test('without a server to be had, the error names the commands that help', async () => {
  await expect(startPostgres({ origins: [] })).rejects.toThrow(
    /apt-get install -y postgresql[\s\S]*brew install[\s\S]*Docker/,
  )
  await expect(startRedis({ origins: [] })).rejects.toThrow(
    /apt-get install -y redis-server[\s\S]*brew install[\s\S]*Docker/,
  )
})

describe('a private Redis', () => {
  test('is empty after it was killed and restarted on its port', async () => {
    const server = await startRedis({ own: true })
    undo.push(() => server.stop())
    const redis = new Redis(server.url)
    redis.on('error', () => undefined)
    undo.push(() => redis.disconnect())
    await redis.set('key', 'value')
    await server.kill()
    await server.restart()
    expect(await redis.get('key')).toBeNull()
  })

  test('answers nothing while frozen and goes on where it stood', async () => {
    const server = await startRedis({ own: true })
    undo.push(() => server.stop())
    const redis = new Redis(server.url)
    undo.push(() => redis.disconnect())
    await redis.set('key', 'value')
    await server.freeze()
    const asked = redis.get('key')
    expect(await within(100, asked)).toBe('still waiting')
    await server.thaw()
    expect(await asked).toBe('value')
  })

  test('has a replica that gets its writes', async () => {
    const { primary, replica, stop } = await startRedisWithReplica()
    undo.push(stop)
    const [writes, reads] = [new Redis(primary.url), new Redis(replica.url)]
    undo.push(() => [writes, reads].map((each) => each.disconnect()))
    await writes.set('key', 'value')
    expect(await writes.wait(1, 1_000)).toBe(1)
    expect(await reads.get('key')).toBe('value')
  })
})

describe('a Redis Cluster', () => {
  test('promotes a replica when its master is killed, and takes the old one back', async () => {
    const servers = await startRedisCluster({ replicas: 1, nodeTimeoutMs: 500 })
    undo.push(() => servers.stop())
    const cluster = new Cluster([...servers.startNodes], { clusterRetryStrategy: () => 50 })
    cluster.on('error', () => undefined)
    undo.push(() => cluster.disconnect())
    // Slot 0 belongs to the first master; {06S} is a tag whose CRC16 is 0.
    await cluster.set('{06S}', 'before')
    await servers.masters[0]?.kill()
    await expect
      .poll(() => within(1_000, cluster.set('{06S}', 'after')).catch(() => 'not yet'), { timeout: 15_000 })
      .toBe('OK')
    await servers.masters[0]?.restart()
    expect(await cluster.get('{06S}')).toBe('after')
  }, 30_000)
})
