import { basename } from 'node:path'
import { afterAll, expect, inject } from 'vitest'
import { createDatabase } from './servers/database.js'

/** The servers of one test run, started once by global-setup.ts and shared by every integration test file. */
export interface Services {
  readonly postgresUrl: string
  readonly redisUrl: string
  readonly redisClusterNodes: { readonly host: string; readonly port: number }[]
}

declare module 'vitest' {
  interface ProvidedContext {
    services: Services | { readonly failure: string }
  }
}

/** URL of the shared Redis. Keys of other test files are in there too: keep to `freshNamespace()`, and never FLUSHALL. */
export function redisUrl(): string {
  return services().redisUrl
}

/** Start-up nodes of the shared Redis Cluster of 3 masters, as `new Cluster(...)` takes them. */
export function redisClusterNodes(): { host: string; port: number }[] {
  return services().redisClusterNodes.map(({ host, port }) => ({ host, port }))
}

/** URL of the shared Postgres, database `postgres`: for what concerns the server as a whole. */
export function postgresUrl(): string {
  return services().postgresUrl
}

/** Makes an empty database for this test file, dropped after its tests. Call it at the top of the file or in beforeAll. */
export async function freshDatabase(name: string = testFile()): Promise<string> {
  const database = await createDatabase(postgresUrl(), name)
  afterAll(() => database.drop())
  return database.url
}

/** Throws what kept the servers from starting, in every test that needs them; those that need none run all the same. */
function services(): Services {
  const outcome = inject('services')
  if ('failure' in outcome) throw new Error(outcome.failure)
  return outcome
}

let serial = 0

/** A namespace that no other test file, and no other call in this one, uses. */
export function freshNamespace(): string {
  return `${testFile()}-${process.pid}-${++serial}`
}

function testFile(): string {
  return basename(expect.getState().testPath ?? 'test').replace(/\.test\.ts$/, '')
}
