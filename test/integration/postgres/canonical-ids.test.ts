import fc from 'fast-check'
import { sql } from 'kysely'
import { beforeAll, describe, expect, it } from 'vitest'
import { IMPOSSIBLE, KeyColumn, type KeyType } from '../../../src/adapters/postgres/key-column.js'
import { freshDatabase } from '../../support/services.js'
import { type AnyDatabase, openKysely } from './connections.js'

let db: AnyDatabase

beforeAll(async () => {
  db = openKysely(await freshDatabase())
  await sql`create type kind as enum ('a', 'A', 'b ', 'b')`.execute(db)
})

/** A few values each in many spellings, so that equal pairs are common. */
const digits = fc
  .tuple(
    fc.constantFrom('', '+', '-'),
    fc.constantFrom('', '0', '000'),
    fc.constantFrom('0', '7', '42', '32767', '32768'),
  )
  .map((parts) => parts.join(''))
const uuids = fc
  .tuple(
    fc.constantFrom('0b5e3c1a9f004d7e8a11c0ffee00beef', '0b5e3c1a9f004d7e8a11c0ffee00bee0'),
    fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([hex, hyphens, braces, upper]) => {
    const groups = (hex.match(/.{4}/g) as string[]).map((group, at) => (hyphens[at] ? `${group}-` : group)).join('')
    const spelled = upper ? groups.toUpperCase() : groups
    return braces ? `{${spelled}}` : spelled
  })
const texts = fc
  .array(fc.constantFrom('a', 'A', 'b', ' ', '\t', 'é', '🫖', '"', '\\', ',', '\u00a0'), { maxLength: 3 })
  .map((parts) => parts.join(''))

const TYPES: { sqlType: string; type: KeyType; spellings: fc.Arbitrary<unknown> }[] = [
  { sqlType: 'smallint', type: { name: 'smallint' }, spellings: digits },
  { sqlType: 'integer', type: { name: 'integer' }, spellings: fc.oneof(digits, fc.integer({ min: 5, max: 9 })) },
  {
    sqlType: 'bigint',
    type: { name: 'bigint' },
    spellings: fc.oneof(digits, fc.bigInt(5n, 9n), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
  },
  { sqlType: 'uuid', type: { name: 'uuid' }, spellings: uuids },
  { sqlType: 'boolean', type: { name: 'boolean' }, spellings: fc.constantFrom('t', 'TRUE', 'f', 'False', true, false) },
  { sqlType: 'text', type: { name: 'text' }, spellings: texts },
  { sqlType: 'text collate "und-x-icu"', type: { name: 'text' }, spellings: texts },
  { sqlType: 'character varying(3)', type: { name: 'varchar' }, spellings: texts },
  { sqlType: 'character(3)', type: { name: 'char' }, spellings: texts },
  { sqlType: 'bpchar', type: { name: 'char' }, spellings: texts },
  { sqlType: 'kind', type: { name: 'enum', sqlName: 'public.kind' }, spellings: fc.constantFrom('a', 'A', 'b', 'b ') },
]

describe.each(TYPES)('canonical ids of $sqlType', ({ sqlType, type, spellings }) => {
  const column = new KeyColumn({ column: 'id', property: 'id', type })

  /** Stores the spellings as Postgres reads them; gives the text of each, and which pairs it finds equal. */
  async function askPostgres(values: unknown[]): Promise<{ texts: string[]; equal: string[] }> {
    return db.transaction().execute(async (tx) => {
      await sql`create temp table asked (place int, id ${sql.raw(sqlType)}) on commit drop`.execute(tx)
      const plainType = sql.raw(sqlType.split(' collate')[0] as string)
      await sql`insert into asked select place, spelled::${plainType}
        from unnest(${values.map(String)}::text[]) with ordinality as given(spelled, place)`.execute(tx)
      const stored = await sql<{ text: string }>`select id::text as text from asked order by place`.execute(tx)
      const pairs = await sql<{ pair: string }>`
        select (a.place - 1) || ' ' || (b.place - 1) as pair from asked a join asked b on a.id = b.id and a.place < b.place`.execute(
        tx,
      )
      return { texts: stored.rows.map(({ text }) => text), equal: pairs.rows.map(({ pair }) => pair) }
    })
  }

  it('are equal exactly when Postgres finds the ids equal, and read as Postgres prints them', async () => {
    let equalPairs = 0
    await fc.assert(
      fc.asyncProperty(fc.array(spellings, { minLength: 12, maxLength: 40 }), async (drawn) => {
        const values = drawn.filter((value) => {
          const canonical = column.canonical(value)
          return canonical !== IMPOSSIBLE && column.holds(canonical)
        })
        const canonical = values.map((value) => column.canonical(value) as string)
        const { texts, equal } = await askPostgres(values)
        expect(canonical).toEqual(texts)
        const ours = canonical.flatMap((a, i) => canonical.flatMap((b, j) => (i < j && a === b ? [`${i} ${j}`] : [])))
        expect(ours.sort()).toEqual(equal.sort())
        equalPairs += equal.length
      }),
      { numRuns: 25 },
    )
    expect(equalPairs).toBeGreaterThan(100)
  })
})

describe('ids beyond the type of the column', () => {
  it.each([
    { type: 'smallint' as const, sqlType: 'int2', least: '-32768', most: '32767' },
    { type: 'integer' as const, sqlType: 'int4', least: '-2147483648', most: '2147483647' },
  ])('begin where $sqlType ends, and are none the less ids', async ({ type, sqlType, least, most }) => {
    const column = new KeyColumn({ column: 'id', property: 'id', type: { name: type } })
    const beyond = [BigInt(least) - 1n, BigInt(most) + 1n].map(String)
    for (const id of [least, most]) expect([column.canonical(id), column.holds(id)]).toEqual([id, true])
    for (const id of beyond) {
      expect([column.canonical(id), column.holds(id)]).toEqual([id, false])
      await expect(sql`select ${id}::text::${sql.raw(sqlType)}`.execute(db)).rejects.toMatchObject({ code: '22003' })
    }
  })

  it.each(['9223372036854775808', '-9223372036854775809'])('are impossible where int8 ends: %s', async (id) => {
    expect(new KeyColumn({ column: 'id', property: 'id', type: { name: 'bigint' } }).canonical(id)).toBe(IMPOSSIBLE)
    await expect(sql`select ${id}::text::int8`.execute(db)).rejects.toMatchObject({ code: '22003' })
  })
})
