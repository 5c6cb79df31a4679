import { CacheUnavailableError } from '../../core/errors.js'
import { type CacheKey, tickKey } from '../../core/key.js'
import type { KeyPage, ShardMove, ShardState, StoreShards } from '../../core/ports.js'
import { keySlot } from '../../policy/slot-copies.js'
import { type RedisConnection, whenReady } from './connection.js'

/** A single server is its own and only shard. */
const ONLY = 'redis'
const ONLY_LIST: readonly string[] = [ONLY]
/** Longer than anybody leaves a namespace without a relay and expects to find it as it was. */
const KEEP_MS = 7 * 86_400_000
/** Where keys of a shard have come from that is none any more. */
const NO_SHARD = ''

/**
 * Which server this is: the process, and its replication id, which is drawn anew when a replica becomes a primary. Empty where the user
 * may not ask (INFO is in @dangerous).
 */
const SERVER = `
local function part(section, pattern)
  local text = redis.pcall('INFO', section)
  return type(text) == 'string' and string.match(text, pattern) or ''
end
local function server()
  local id = part('server', 'run_id:(%w+)') .. part('replication', 'master_replid:(%w+)')
  return id == '' and '' or string.sub(redis.sha1hex(id), 1, 16)
end
local function stored()
  local text = redis.pcall('GET', KEYS[1])
  return type(text) == 'string' and text or ''
end
`

/** LOOK tick. Replies {server, tick}. */
const LOOK = `${SERVER}
return {server(), stored()}
`

/** TICK tick | text server keepMs. Replies {server, tick} as they are afterwards. */
const TICK = `${SERVER}
local now = server()
if now ~= '' and now == ARGV[2] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
return {now, stored()}
`

/** A connection to one node of a cluster. */
interface Node extends Pick<RedisConnection, 'call'> {
  readonly options: { readonly host?: string; readonly port?: number }
}

type Ask = (key: string, ...values: (string | number)[]) => Promise<[server: string, tick: string]>

/** `StoreShards` of Redis: the one server, or the primaries of a cluster by `host:port`, as ioredis knows them now. */
export class RedisShards implements StoreShards {
  readonly #connection: RedisConnection
  readonly #namespace: string
  readonly #keyPrefix: string
  readonly #look: Ask
  readonly #tick: Ask
  /** Counts the connections there have been: what stands for the server where that does not say who it is. */
  #session = 0
  #owners: readonly (string | undefined)[] = []
  /** Of the owners, the same list as long as they are: asked for in every tick of the process. */
  #names: readonly string[] = []
  #tickKeys = new Map<string, CacheKey>()
  /** For each shard, those that keys of its own have come from. Undefined: nobody has asked yet. */
  #origins: Map<string, ReadonlySet<string>> | undefined

  constructor(options: { connection: RedisConnection; namespace: string }) {
    const { connection } = options
    this.#connection = connection
    this.#namespace = options.namespace
    this.#keyPrefix = (connection as unknown as { options?: { keyPrefix?: string } }).options?.keyPrefix ?? ''
    connection.defineCommand('corralLook', { numberOfKeys: 1, lua: LOOK })
    connection.defineCommand('corralTick', { numberOfKeys: 1, lua: TICK })
    const commands = connection as unknown as { corralLook: Ask; corralTick: Ask }
    this.#look = (...call) => commands.corralLook(...call)
    this.#tick = (...call) => commands.corralTick(...call)
    for (const event of ['ready', '+node', '-node', 'node error']) connection.on(event, () => void this.#session++)
    connection.on('refresh', () => this.#follow())
  }

  list(): readonly string[] {
    if (!this.#connection.isCluster) return ONLY_LIST
    if (this.#names.length === 0) this.#follow()
    if (this.#names.length === 0) throw new CacheUnavailableError('list shards', 'the cluster is not connected')
    return this.#names
  }

  of(key: CacheKey): string {
    if (!this.#connection.isCluster) return ONLY
    return this.#connection.slots?.[keySlot(this.#keyPrefix + key)]?.[0] ?? ''
  }

  tickKey(shard: string): CacheKey {
    if (!this.#connection.isCluster) return tickKey(this.#namespace, 0)
    const known = this.#tickKeys.get(shard)
    if (known !== undefined && this.of(known) === shard) return known
    const found = this.#findTickKey(shard)
    this.#tickKeys.set(shard, found)
    return found
  }

  async look(shard: string): Promise<ShardState> {
    await whenReady(this.#connection)
    const [server, tick] = await this.#look(this.tickKey(shard))
    return this.#state(server, tick)
  }

  async tick(shard: string, text: string, server: string): Promise<ShardState> {
    await whenReady(this.#connection)
    const [found, tick] = await this.#tick(this.tickKey(shard), text, server, KEEP_MS)
    return this.#state(found, tick)
  }

  takeMoves(): readonly ShardMove[] {
    const origins = this.#origins ?? []
    this.#origins = new Map()
    return [...origins].flatMap(([to, from]) => [...from].map((each) => ({ from: each, to })))
  }

  async scan(shard: string, cursor: string | null, count: number): Promise<KeyPage> {
    await whenReady(this.#connection)
    // SCAN knows nothing of key prefixes, neither in the pattern nor in what it finds.
    const pattern = `${escapeGlob(this.#keyPrefix + this.#namespace)}:{*}`
    const reply = await this.#nodeOf(shard).call('scan', cursor ?? '0', 'MATCH', pattern, 'COUNT', count)
    const [next, found] = reply as [string, string[]]
    const keys = [...new Set(found)].map((key) => key.slice(this.#keyPrefix.length) as CacheKey)
    return { keys, next: next === '0' ? null : next }
  }

  #nodeOf(shard: string): Pick<RedisConnection, 'call'> {
    if (!this.#connection.isCluster) return this.#connection
    const cluster = this.#connection as unknown as { nodes(role: 'master'): readonly Node[] }
    const node = cluster.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === shard)
    if (node === undefined) throw new CacheUnavailableError('scan', `${shard} is no primary of the cluster`)
    return node
  }

  #state(server: string, tick: string): ShardState {
    const isKnown = server !== ''
    return { server: isKnown ? server : `session ${this.#session}`, isKnown, tick: tick === '' ? undefined : tick }
  }

  /** The first key whose slot is the shard's, the same in every process that knows the same cluster: slots spread, so it is soon found. */
  #findTickKey(shard: string): CacheKey {
    for (let place = 1; place <= 16_384; place++) {
      const key = tickKey(this.#namespace, place)
      if (this.of(key) === shard) return key
    }
    throw new CacheUnavailableError('find a tick key', `${shard} has no slots`)
  }

  /** The cluster has been looked at anew. */
  #follow(): void {
    const before = this.#owners
    this.#owners = Array.from(this.#connection.slots ?? [], (nodes) => nodes?.[0])
    const names = [...new Set(this.#owners)].filter((name) => name !== undefined)
    if (names.join() !== this.#names.join()) this.#names = names
    this.#tickKeys.clear()
    if (this.#origins) this.#origins = this.#originsNow(this.#origins, before)
  }

  /** What a shard hands on may have come to it the same way. Of shards that are gone no more is kept than that there were some. */
  #originsNow(known: ReadonlyMap<string, ReadonlySet<string>>, before: readonly (string | undefined)[]) {
    const moves = new Map<string, ShardMove>()
    this.#owners.forEach((to, slot) => {
      const from = before[slot] ?? NO_SHARD
      if (to !== undefined && from !== to) moves.set(`${from} ${to}`, { from, to })
    })
    const origins = new Map(known)
    for (const { from, to } of moves.values()) {
      origins.set(to, new Set([...(origins.get(to) ?? []), from, ...(origins.get(from) ?? [])]))
    }
    const there = new Set(this.#names)
    const thoseOf = (to: string) => [...(origins.get(to) ?? [])].map((from) => (there.has(from) ? from : NO_SHARD))
    return new Map(this.#names.map((to) => [to, new Set(thoseOf(to).filter((from) => from !== to))]))
  }
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, '\\$&')
}
