import { type CompiledQuery, sql } from 'kysely'
import { SourceError } from '../../core/errors.js'
import type { AnyDatabase } from './catalog-query.js'

/** The words of which Postgres makes another time each time, wherever they stand in what it reads as a time. */
const CURRENT = /(?<![a-z])(?:now|today|tomorrow|yesterday)(?![a-z])/i

/** Prepared statements of one session have to be called differently. */
let asked = 0

/**
 * The parameter of a statement that Postgres reads as another time each time, such as `now` where it is compared with a `timestamptz`.
 * Only Postgres knows what it takes a parameter for, so it is asked, and only where one has such a word in it.
 *
 * @throws SourceError when the database does not answer, or would not take the statement either.
 */
export async function changingParameter(db: AnyDatabase, statement: CompiledQuery): Promise<string | undefined> {
  const candidates = statement.parameters.map(currentIn)
  if (candidates.every((text) => text === undefined)) return undefined
  const places = await timePlaces(db.withoutPlugins(), statement.sql)
  return candidates.find((text, at) => text !== undefined && places.includes(at + 1))
}

function currentIn(value: unknown): string | undefined {
  if (typeof value === 'string') return CURRENT.test(value) ? value : undefined
  if (!Array.isArray(value)) return undefined
  return value.map(currentIn).find((text) => text !== undefined)
}

/** The numbers of the parameters that are times, or arrays of times. */
async function timePlaces(db: AnyDatabase, text: string): Promise<readonly number[]> {
  const name = `corral_parameters_${++asked}`
  try {
    // In a transaction, so that a pooler leads all of it to one session.
    return await db.transaction().execute(async (tx) => {
      await sql`prepare ${sql.id(name)} as ${sql.raw(text)}`.execute(tx)
      const { rows } = await sql<{ places: string }>`
        select coalesce(json_agg(p.place), '[]')::text as places
        from pg_prepared_statements s, unnest(s.parameter_types) with ordinality as p(type, place)
        join pg_type t on t.oid = p.type left join pg_type e on e.oid = t.typelem
        where s.name = ${name} and 'D' in (t.typcategory, e.typcategory)`.execute(tx)
      await sql`deallocate ${sql.id(name)}`.execute(tx)
      return JSON.parse((rows[0] as { places: string }).places)
    })
  } catch (error) {
    throw new SourceError('asking for the types of parameters', error)
  }
}
