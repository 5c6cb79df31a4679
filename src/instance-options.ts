import { assertRedisClient, type RedisClient } from './adapters/redis/connection.js'
import { checkNamespace, DEFAULTS } from './config.js'
import { ConfigError, inWords } from './core/errors.js'
import { refuseUnknown } from './core/known-options.js'

/** `CorralOptions` as they are before anybody has looked at them. The option groups are checked by `resolveSettings`. */
interface InstanceChoices {
  readonly db: unknown
  readonly redis?: unknown
  readonly namespace: unknown
  readonly secret?: unknown
  readonly onEvent?: unknown
  readonly replica?: unknown
}

const MIN_SECRET_LENGTH = 16

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
  checkKysely('db', 'a Kysely instance for Postgres', options.db)
  checkNamespace(options.namespace)
  if (options.redis !== undefined) assertRedisClient(options.redis as RedisClient)
  if (options.replica !== undefined) checkReplica(options.replica)
  if (options.secret !== undefined) checkSecret(options.secret)
  if (options.onEvent !== undefined && typeof options.onEvent !== 'function') {
    throw new ConfigError('onEvent', 'a function', options.onEvent)
  }
  return options
}

/** What was found is never shown: it may be a secret all the same. */
function checkSecret(secret: unknown): void {
  const all = Array.isArray(secret) ? secret : [secret]
  const wrong = all.find((each) => typeof each !== 'string' || each.length < MIN_SECRET_LENGTH)
  if (all.length > 0 && wrong === undefined) return
  const found =
    all.length === 0 ? 'an empty list' : typeof wrong === 'string' ? `${wrong.length} characters` : `a ${typeof wrong}`
  throw new ConfigError(
    'secret',
    `a string of at least ${MIN_SECRET_LENGTH} characters, or a list of them`,
    inWords(found),
  )
}

function checkReplica(replica: unknown): void {
  if (typeof replica !== 'object' || replica === null) throw new ConfigError('replica', 'an object', replica)
  refuseUnknown('replica', replica, ['db'])
  const { db } = replica as { readonly db?: unknown }
  if (db !== undefined) checkKysely('replica.db', 'a Kysely instance for a standby', db)
}

/** The dialects that Kysely itself has beside that of Postgres. Others are let pass: there are many over Postgres. */
const FOREIGN_ADAPTERS = ['MysqlAdapter', 'SqliteAdapter', 'MssqlAdapter']

function checkKysely(option: string, expected: string, found: unknown): void {
  const { getExecutor } = (found ?? {}) as { readonly getExecutor?: unknown }
  if (typeof getExecutor !== 'function') throw new ConfigError(option, expected, found)
  // What it reads nobody else may see yet, and what it writes may never have been.
  const { isTransaction } = found as { readonly isTransaction?: unknown }
  if (isTransaction === true) throw new ConfigError(option, expected, inWords('a transaction of one'))
  const { adapter } = getExecutor.call(found) as { readonly adapter?: object }
  const name = adapter?.constructor.name ?? ''
  if (FOREIGN_ADAPTERS.includes(name)) throw new ConfigError(option, expected, inWords(`one with a ${name}`))
}
