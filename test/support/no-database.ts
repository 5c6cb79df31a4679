import {
  type Driver,
  DummyDriver,
  Kysely,
  type KyselyConfig,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely'

/** A Kysely for Postgres that finds nothing, for what is looked at before a database is asked. */
export function noDatabase<Database>(config: Pick<KyselyConfig, 'plugins' | 'log'> = {}): Kysely<Database> {
  return databaseOver(new DummyDriver(), config)
}

/** One that never answers, as over a network that swallows everything. */
export function silentDatabase<Database>(): Kysely<Database> {
  return databaseOver(Object.assign(new DummyDriver(), { acquireConnection: () => new Promise<never>(() => {}) }))
}

/** A Kysely for Postgres over this driver. */
export function databaseOver<Database>(
  driver: Driver,
  config: Pick<KyselyConfig, 'plugins' | 'log'> = {},
): Kysely<Database> {
  return new Kysely<Database>({
    ...config,
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createIntrospector: (inner) => new PostgresIntrospector(inner),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}
