export { type StampTableOptions, stampTable, stampTableSql } from './adapters/postgres/stamp-migration.js'
