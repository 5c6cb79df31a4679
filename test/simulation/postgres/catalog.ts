/** What the catalog says of the one table there is, as it does of a real one with stamp and outbox. */
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

/** The same after `sku` and `says` were dropped and added again. */
const ALTERED = { ...CATALOG, columns: reordered(CATALOG.columns) }

function reordered<Item>([id, sku, price, version, says]: readonly Item[]): readonly Item[] {
  return [id, says, price, version, sku] as Item[]
}

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
export function catalogAnswer(sql: string, isAltered: boolean): Record<string, unknown>[] | undefined {
  const text = sql.trimStart()
  if (text.startsWith("select json_build_object(\n      'schema'"))
    return [{ relation: JSON.stringify(isAltered ? ALTERED : CATALOG) }]
  if (text.startsWith('with named as (')) return [{ answer: RELATIONS }]
  if (text.includes('select 1 as corralone'))
    return [isAltered ? Object.fromEntries(reordered(Object.entries(NO_ROW))) : { ...NO_ROW }]
  if (text.startsWith('select count(*)::text as found from pg_trigger')) return [{ found: '2' }]
  if (text.startsWith('select count(*)::text as missing')) return [{ missing: '0' }]
  if (text.startsWith('select (select count(*) from pg_trigger')) {
    return [{ triggers: '2', published: '0', alone: 'true' }]
  }
  if (text.startsWith('select has_table_privilege')) return [{ may: 'true' }]
  if (text.startsWith('select (has_schema_privilege')) return [{ allowed: 'true' }]
  return undefined
}

function column(name: string, type: string, builtin: string, notNull: boolean) {
  const base = { builtin, sqlName: `pg_catalog.${builtin}`, isEnum: false, modifier: -1 }
  return { column: name, type, notNull, generated: false, deterministic: true, base }
}
