export { fencedLocks, fencedLocksSql } from './adapters/postgres/lock-migration.js'
export type { CorralMigration, Statements } from './adapters/postgres/migration.js'
export {
  type OutboxTableOptions,
  outboxTable,
  outboxTableSql,
  outboxTables,
  outboxTablesSql,
} from './adapters/postgres/outbox-migration.js'
export {
  type SlotTableOptions,
  slotTable,
  slotTableSql,
  slotTables,
  slotTablesSql,
} from './adapters/postgres/slot-migration.js'
export { type StampTableOptions, stampTable, stampTableSql } from './adapters/postgres/stamp-migration.js'
