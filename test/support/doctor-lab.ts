import { type Cluster, Redis, type RedisOptions } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import { FINDINGS, type Finding, type FindingId, type Unchecked } from '../../src/cli/doctor/findings.js'
import { createCorral } from '../../src/client.js'
import type { Clock } from '../../src/core/clock.js'
import type { RelayOptions } from '../../src/relay-options.js'
import { runCli } from './cli-lab.js'
import { asOperator } from './operator.js'
import { freshNamespace } from './services.js'
import { openShopDatabase } from './shop-lab.js'

/** What a config says, as far as tests of the doctor vary it. */
export interface SetUp {
  readonly databaseUrl: string
  readonly replicaUrl?: string
  readonly redis?: Redis | Cluster
  readonly namespace?: string
  readonly relay?: boolean | RelayOptions
  /** How long it may take a process to hear itself is twice this. Default: Corral's own. */
  readonly heartbeatMs?: number
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
  const {
    databaseUrl,
    replicaUrl,
    redis,
    namespace = freshNamespace(),
    relay = false,
    tables = {},
    heartbeatMs,
  } = setUp
  // biome-ignore lint/suspicious/noExplicitAny: tables are made by the tests
  const db = openShopDatabase(databaseUrl, 4) as any
  const replica = replicaUrl === undefined ? {} : { replica: { db: openShopDatabase(replicaUrl, 2) as never } }
  const bus = heartbeatMs === undefined ? {} : { bus: { heartbeatMs } }
  // As the loader of configs does: an operator's process is no relay, whatever they say.
  const corral = asOperator(() =>
    createCorral({ db, namespace, relay, ...bus, ...(redis ? { redis } : {}), ...replica }),
  )
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

/** A fault that is planted, and the set-up without it. */
export interface Planting {
  /** Examines the set-up without the fault, before it is planted. Two plantings of one set-up may share a diagnosis: `once`. */
  readonly right: () => Promise<Diagnosed>
  /** Plants the fault and examines what is there then. */
  readonly wrong: () => Promise<Diagnosed>
  /** What else the fault brings about. Default: nothing. `whatever`: what tests before it have left. */
  readonly besides?: readonly FindingId[] | 'whatever'
  readonly subject?: string | RegExp
  readonly found?: string | RegExp
  readonly fix?: string | RegExp
}

/**
 * A test that plants a fault and wants it found, by this name and no other, with what it is about and what mends it; and not found before.
 * `test/unit/cli/doctor-plantings.test.ts` wants one for every finding that there is.
 */
export function planted(id: FindingId, how: string, { right, wrong, besides = [], ...said }: Planting): void {
  it(`${id}: ${how}`, async () => {
    const before = await right()
    expect(before.ids).not.toContain(id)
    const { exitCode, findings, ids, find } = await wrong()
    const { severity, subject, found, fix } = find(id)
    if (besides !== 'whatever') {
      expect(new Set(ids.filter((each) => !before.ids.includes(each)))).toEqual(new Set([id, ...besides]))
    }
    expect(severity).toBe(FINDINGS[id][0])
    expect(exitCode).toBe(findings.some((each) => each.severity !== 'notice') ? 1 : 0)
    expect({ subject, found, fix }).toEqual({
      subject: expect.stringMatching(said.subject ?? /./),
      found: expect.stringMatching(said.found ?? /./),
      fix: expect.stringMatching(said.fix ?? /./),
    })
  })
}

/** Examines when it is first asked to, and says the same from then on. */
export function once(examine: () => Promise<Diagnosed>): () => Promise<Diagnosed> {
  let diagnosed: Promise<Diagnosed> | undefined
  return () => {
    diagnosed ??= examine()
    return diagnosed
  }
}

type Varied = 'host' | 'username' | 'password' | 'tls' | 'commandTimeout' | 'keyPrefix' | 'name' | 'sentinels' | 'role'
export type ClientOptions = Partial<Pick<RedisOptions, Varied>>

/** As a careful application makes its client. */
export function client(port: number, options: ClientOptions = {}): Redis {
  const redis = new Redis({ ...options, host: options.host ?? '127.0.0.1', port, lazyConnect: true })
  redis.on('error', () => {})
  onTestFinished(() => redis.disconnect())
  return redis
}
