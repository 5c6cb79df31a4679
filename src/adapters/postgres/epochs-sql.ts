import { literal, name } from './sql-text.js'

/** The statements that make `epochs`, shared by the outbox and the slot: the number of each namespace's epoch, of which history of the database it is, and what its relay reads. */
export function createEpochs(corralSchema: string): string[] {
  const epochs = `${name(corralSchema)}.epochs`
  return [
    `create table if not exists ${epochs} (namespace text collate "C" primary key, number bigint not null)`,
    `alter table ${epochs} add column if not exists history text collate "C"`,
    `alter table ${epochs} add column if not exists source text collate "C"`,
  ]
}

/** Part of a PL/pgSQL block: drops the epochs unless the other one of the two, which this table is part of, still needs them. */
export function dropEpochs(corralSchema: string, other: string): string {
  const shared = name(corralSchema)
  return `if to_regclass(${literal(`${shared}.${other}`)}) is null then
        drop table if exists ${shared}.epochs;
      end if;`
}
