import { ConfigError } from '../../core/errors.js'
import { epochKey, guardKey, tickKey } from '../../core/key.js'
import { channelName } from './channel-name.js'

/** Whose rights are wanted. */
export interface AclRequest {
  /** Name of the Redis user: letters, digits, `_`, `.` or `-`. */
  readonly user: string
  /** As `createCorral` is given it: letters, digits, `_`, `.` or `-`. */
  readonly namespace: string
  /** Whether the client is an ioredis `Cluster`. */
  readonly isCluster: boolean
  /** Of the ioredis client. Default: none. */
  readonly keyPrefix?: string
  /** Number of the database, of the ioredis client. Default: 0. */
  readonly db?: number
}

/** Everything that an instance of Corral needs of Redis to read and write, and nothing else. */
export interface Acl {
  readonly user: string
  /** In lower case, subcommands as `client|setname`, sorted. */
  readonly commands: readonly string[]
  /** Patterns of keys, to be read and written. */
  readonly keys: readonly string[]
  /** Patterns of channels, sharded ones among them. */
  readonly channels: readonly string[]
  /** What `ACL SETUSER` takes behind the name of the user, but for the password: `['reset', 'on', '~…', '&…', '+…']`. */
  readonly rules: readonly string[]
}

/** What a connection sends before anything else: ioredis, for the name and the ready check. HELLO and AUTH need no right. */
const CONNECT = ['client|setname', 'info']
/** What ioredis asks a cluster for its slots and its health, and says to replicas and when a slot is on its way. */
const CLUSTER = ['asking', 'cluster|info', 'cluster|slots', 'readonly']
/** Entries, guards and marks: the reads, the scripts, and what runs inside of them. */
const STORE = [
  'del',
  'eval',
  'evalsha',
  'exists',
  'get',
  'getrange',
  'hdel',
  'hmget',
  'hset',
  'pexpire',
  'pttl',
  'set',
  'time',
]

const OF_ONE_SERVER = [...CONNECT, ...STORE, 'mget', 'publish', 'subscribe']
const OF_A_CLUSTER = [...CONNECT, ...CLUSTER, ...STORE, 'spublish', 'ssubscribe']

const USER = /^[A-Za-z0-9_.-]{1,64}$/
const NAMESPACE = /^[A-Za-z0-9_.-]{1,64}$/

/**
 * The rights of a Redis user that can do all that Corral does in one namespace, but for `audit` and `rebuild`: those go through the names of
 * all keys with SCAN, which no pattern keeps to one namespace. Held against what is really sent by test/integration/redis/acl.test.ts.
 *
 * @throws ConfigError for a name that cannot be one.
 */
export function leastPrivilegeAcl({ user, namespace, isCluster, keyPrefix = '', db = 0 }: AclRequest): Acl {
  const expected = '1 to 64 letters, digits, `_`, `.` or `-`'
  if (typeof user !== 'string' || !USER.test(user)) throw new ConfigError('user', expected, user)
  if (typeof namespace !== 'string' || !NAMESPACE.test(namespace))
    throw new ConfigError('namespace', expected, namespace)
  if (/\s/.test(keyPrefix)) throw new ConfigError('keyPrefix', 'a prefix without blanks', keyPrefix)
  const prefix = keyPrefix.replaceAll(/[*?[\]\\]/g, '\\$&')
  const keys = [
    // Rows, lookups, results, marks and copies, each with its guard.
    `${namespace}:{*`,
    epochKey(namespace),
    guardKey(epochKey(namespace)),
    tickKey(namespace, 0),
    ...(isCluster ? [`{${namespace}:*}:tick`] : []),
    `${namespace}:lock:*`,
    // A cluster is asked where the channel lives as if it were a key.
    ...(isCluster ? [channelName(namespace, {})] : []),
  ].map((pattern) => prefix + pattern)
  const channels = [channelName(namespace, { keyPrefix: prefix, db })]
  const commands = [...(isCluster ? OF_A_CLUSTER : OF_ONE_SERVER), ...(db === 0 ? [] : ['select'])].sort()
  const rules = [
    ...['reset', 'on'],
    ...keys.map((pattern) => `~${pattern}`),
    ...channels.map((pattern) => `&${pattern}`),
    ...commands.map((command) => `+${command}`),
  ]
  return { user, commands, keys, channels, rules }
}
