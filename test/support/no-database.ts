import { type Driver, DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'

/** A Kysely for Postgres that finds nothing, for what is looked at before a database is asked. */
export function noDatabase<Database>(): Kysely<Database> {
  return over(new DummyDriver())
}

/** One that never answers, as over a network that swallows everything. */
export function silentDatabase<Database>(): Kysely<Database> {
  return over(Object.assign(new DummyDriver(), { acquireConnection: () => new Promise<never>(() => {}) }))
}

function over<Database>(driver: Driver): Kysely<Database> {
  return new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createIntrospector: (inner) => new PostgresIntrospector(inner),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}
