import type { OutboxTable } from './outbox-triggers-sql.js'
import { block, literal, name, qualified } from './sql-text.js'

/**
 * Fails unless the table has every column its triggers would read. They are bound to no column when they are made: one that is not there would
 * be an error in every write of the table, by whomever.
 */
export function requireOutboxColumns(table: OutboxTable): string {
  const relation = qualified(table.schema, table.table)
  const { version, key, unique, columns } = table
  const wanted = Object.entries({
    version: version === undefined ? [] : [version],
    key,
    unique: unique.flat(),
    columns,
  })
  const rows = wanted.flatMap(([option, names]) => names.map((each) => `(${literal(option)}, ${literal(each)})`))
  return block(`
    declare
      relation regclass := ${literal(relation)};
      wanted record;
      its record;
    begin
      for wanted in select * from (values ${rows.join(', ')}) as w(option, named) loop
        select format_type(a.atttypid, a.atttypmod) as type, t.typcategory = 'N' as is_number into its
          from pg_attribute a join pg_type t on t.oid = a.atttypid
          where a.attrelid = relation and a.attname = wanted.named and a.attnum > 0 and not a.attisdropped;
        if not found then
          raise exception using
            message = format('corral: %s has no column "%s" for its outbox triggers to read (option %s)', ${literal(relation)}, wanted.named, wanted.option),
            hint = case when wanted.option = 'version'
              then 'Run the stampTable() migration of the table first, or pass version: false where rows have none.'
              else 'It has ' || (select string_agg('"' || attname || '"', ', ' order by attnum) from pg_attribute
                where attrelid = relation and attnum > 0 and not attisdropped) || '.' end;
        elsif wanted.option = 'version' and not its.is_number then
          raise exception using message = format('corral: column %s of %s must be a whole number to carry the version, found %s (option version)',
            ${literal(name(version ?? ''))}, ${literal(relation)}, its.type);
        end if;
      end loop;
    end`)
}
