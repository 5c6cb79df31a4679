/**
 * What the catalog says of the one table there is. test/integration/postgres/model-difference.test.ts holds it against a real table with stamp and
 * outbox.
 */
export const CATALOG = {
  schema: 'public',
  name: 'products',
  kind: 'r',
  temporary: false,
  inherited: false,
  encoding: 'UTF8',
  columns: [
    column('id', 'integer', 'int4', true),
    column('sku', 'text', 'text', true),
    column('price', 'integer', 'int4', true),
    column('corral_version', 'bigint', 'int8', true),
    { ...column('says', 'text', 'text', false), generated: true },
  ],
  uniques: [['id'], ['sku']],
  stamp: { arguments: Buffer.from('corral_version\0').toString('hex'), repairs: [] },
}

const RELATION = JSON.stringify(CATALOG)

const RELATIONS = JSON.stringify({
  relations: [
    {
      entity: 'public.products',
      kind: 'r',
      special: false,
      rewrites: false,
      columns: '0123456789abcdef0123456789abcdef',
    },
  ],
  ...{ parents: [], reads: [], keys: [], functions: [] },
})

const NO_ROW = { id: null, sku: null, price: null, corral_version: null, says: null }

/** Undefined: this is no question about the catalog. */
export function catalogAnswer(sql: string, _parameters: readonly unknown[]): Record<string, unknown>[] | undefined {
  const text = sql.trimStart()
  if (text.startsWith("select json_build_object(\n      'schema'")) return [{ relation: RELATION }]
  if (text.startsWith('with named as (')) return [{ answer: RELATIONS }]
  if (text.includes('select 1 as corralone')) return [{ ...NO_ROW }]
  if (text.startsWith('select count(*)::text as found from pg_trigger')) return [{ found: '2' }]
  if (text.startsWith('select count(*)::text as missing')) return [{ missing: '0' }]
  if (text.startsWith('select (has_schema_privilege')) return [{ allowed: 'true' }]
  return undefined
}

function column(name: string, type: string, builtin: string, notNull: boolean) {
  const base = { builtin, sqlName: `pg_catalog.${builtin}`, isEnum: false, modifier: -1 }
  return { column: name, type, notNull, generated: false, deterministic: true, base }
}
