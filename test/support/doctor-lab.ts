import { type Cluster, Redis, type RedisOptions } from 'ioredis'
import { onTestFinished } from 'vitest'
import type { Finding, FindingId, Unchecked } from '../../src/cli/doctor/findings.js'
import { createCorral } from '../../src/client.js'
import type { Clock } from '../../src/core/clock.js'
import type { RelayOptions } from '../../src/relay-options.js'
import { runCli } from './cli-lab.js'
import { freshNamespace } from './services.js'
import { openShopDatabase } from './shop-lab.js'

/** What a config says, as far as tests of the doctor vary it. */
export interface SetUp {
  readonly databaseUrl: string
  readonly replicaUrl?: string
  readonly redis?: Redis | Cluster
  readonly namespace?: string
  readonly relay?: boolean | RelayOptions
  /** Repositories by table. Default: none. */
  readonly tables?: Readonly<Record<string, object>>
}

export interface Diagnosed {
  readonly exitCode: number
  readonly findings: readonly Finding[]
  readonly unchecked: readonly Unchecked[]
  /** Of all findings, sorted. */
  readonly ids: readonly FindingId[]
  find(id: FindingId): Finding
  /** What each finding of this id is about. */
  subjects(id: FindingId): readonly string[]
}

export async function diagnose(
  setUp: SetUp,
  args: readonly string[] = [],
  options: { clock?: Clock; env?: Record<string, string> } = {},
): Promise<Diagnosed> {
  const { databaseUrl, replicaUrl, redis, namespace = freshNamespace(), relay = false, tables = {} } = setUp
  // biome-ignore lint/suspicious/noExplicitAny: tables are made by the tests
  const db = openShopDatabase(databaseUrl, 4) as any
  const replica = replicaUrl === undefined ? {} : { replica: { db: openShopDatabase(replicaUrl, 2) as never } }
  const corral = createCorral({ db, namespace, relay, ...(redis ? { redis } : {}), ...replica })
  for (const [table, repository] of Object.entries(tables)) corral.repository(table as never, repository as never)
  const { exitCode, json, err } = await runCli(corral, ['doctor', '--json', ...args], options)
  if (json.findings === undefined) throw new Error(err)
  const { findings, unchecked } = json as Pick<Diagnosed, 'findings' | 'unchecked'>
  return {
    exitCode,
    findings,
    unchecked,
    ids: findings.map(({ id }) => id).sort(),
    subjects: (id) => findings.filter((each) => each.id === id).map(({ subject }) => subject),
    find: (id) => {
      const found = findings.find((each) => each.id === id)
      if (found === undefined) throw new Error(`no finding ${id} among ${findings.map((each) => each.id).join(', ')}`)
      return found
    },
  }
}

/** As a careful application makes its client. */
export function client(
  port: number,
  options: Partial<Pick<RedisOptions, 'username' | 'password' | 'commandTimeout' | 'keyPrefix'>> = {},
): Redis {
  const redis = new Redis({ ...options, port, host: '127.0.0.1', lazyConnect: true })
  redis.on('error', () => {})
  onTestFinished(() => redis.disconnect())
  return redis
}
