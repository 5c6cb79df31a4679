export type { EncryptionOptions } from './adapters/codec/encryption-options.js'
export type { TelemetryOptions } from './adapters/otel/telemetry-options.js'
export type { RedisClient } from './adapters/redis/connection.js'
export { type Corral, type CorralOptions, type CorralStats, createCorral } from './client.js'
export {
  type BusOptions,
  type CacheOptions,
  type CodecOptions,
  DEFAULTS,
  type HotKeyOptions,
  type L1Options,
  type LeaseOptions,
  type LoadOptions,
  type RefreshOptions,
  type RelayTimes,
  type TtlOptions,
} from './config.js'
export { CorralError, type ErrorCode, isCorralError, StaleWriteError } from './core/errors.js'
export type { CorralEvent } from './core/events.js'
export type { HotKey } from './engine/hot-keys.js'
export type { FencedLock, LockOptions } from './fenced-lock.js'
export { type EventLevel, type EventLogger, logEvents } from './log-events.js'
export type { CacheableQuery, CachedQuery, QueryOptions, QueryReadOptions } from './query.js'
export type { RelayOptions, SlotOptions } from './relay-options.js'
export { type RelayProcess, type RelayProcessOptions, startRelay } from './relay-process.js'
export type {
  HotKeyChoice,
  ReadOptions,
  Repository,
  RepositoryOptions,
  TransactionRepository,
  UpdateOptions,
  WriteOptions,
} from './repository.js'
export type { Session } from './session.js'
export type {
  AuditFigures,
  AuditOptions,
  AuditProgress,
  AuditReport,
  Drift,
  DriftAges,
  DriftKind,
} from './table/audit.js'
export type { ExplainedCopy, Explanation } from './table/explain.js'
export type { RebuildFigures, RebuildOptions, RebuildProgress } from './table/rebuild.js'
export type { Consistency, RowOf, WriteResult } from './table/repository-types.js'
export type { WarmProgress, WarmUpOptions } from './table/warm-up.js'
export type { CorralTransaction, TransactionOptions, TransactionResult } from './transaction.js'
