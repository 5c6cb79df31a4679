/**
 * Settings of a Postgres whose commits wait for the disk, as they do where data matters, and whose log is what it is by default. Autovacuum would come and go
 * between the turns.
 */
export const DURABLE = {
  fsync: 'on',
  full_page_writes: 'on',
  wal_level: 'replica',
  autovacuum: 'off',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
}
