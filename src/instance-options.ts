import { assertRedisClient, type RedisClient } from './adapters/redis/connection.js'
import { checkNamespace, DEFAULTS, refuseUnknown } from './config.js'
import { ConfigError } from './core/errors.js'

/** `CorralOptions` as they are before anybody has looked at them. The option groups are checked by `resolveSettings`. */
interface InstanceChoices {
  readonly db: unknown
  readonly redis?: unknown
  readonly namespace: unknown
  readonly secret?: unknown
  readonly onEvent?: unknown
  readonly replica?: unknown
}

const OPTION_NAMES = [
  'db',
  'redis',
  'namespace',
  'secret',
  'encryption',
  'onEvent',
  'replica',
  'telemetry',
  ...Object.keys(DEFAULTS),
]

/**
 * What was given to `createCorral`, after a look at everything that is no option group.
 *
 * @throws ConfigError naming the option, what was expected and what was found.
 */
export function checkInstanceOptions<Options extends InstanceChoices>(options: Options): Options {
  if (typeof options !== 'object' || options === null) throw new ConfigError('options', 'an object', options)
  refuseUnknown('', options, OPTION_NAMES)
  if (!isKysely(options.db)) throw new ConfigError('db', 'a Kysely instance for Postgres', options.db)
  checkNamespace(options.namespace)
  if (options.redis !== undefined) assertRedisClient(options.redis as RedisClient)
  if (options.replica !== undefined) checkReplica(options.replica)
  if (options.secret !== undefined && (typeof options.secret !== 'string' || options.secret.length < 16)) {
    throw new ConfigError('secret', 'a string of at least 16 characters', typeof options.secret)
  }
  if (options.onEvent !== undefined && typeof options.onEvent !== 'function') {
    throw new ConfigError('onEvent', 'a function', options.onEvent)
  }
  return options
}

function checkReplica(replica: unknown): void {
  if (typeof replica !== 'object' || replica === null) throw new ConfigError('replica', 'an object', replica)
  refuseUnknown('replica', replica, ['db'])
  const { db } = replica as { readonly db?: unknown }
  if (db !== undefined && !isKysely(db)) throw new ConfigError('replica.db', 'a Kysely instance for a standby', db)
}

function isKysely(found: unknown): boolean {
  return typeof (found as { readonly getExecutor?: unknown } | null | undefined)?.getExecutor === 'function'
}
