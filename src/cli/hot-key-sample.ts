import { whenReady } from '../adapters/redis/connection.js'
import type { Clock } from '../core/clock.js'
import type { RedisNode } from './doctor/redis-nodes.js'

export interface SampledKey {
  readonly key: string
  readonly node: string
  readonly reads: number
}

export interface Sample {
  readonly keys: readonly SampledKey[]
  /** Reads of the namespace's entries in all. */
  readonly reads: number
  /** How long was listened; shorter where there was too much to hear. */
  readonly listenedMs: number
}

export interface SampleOptions {
  readonly nodes: readonly RedisNode[]
  readonly clock: Clock
  /** What keys of entries begin with. */
  readonly prefix: string
  readonly listenMs: number
  /** Reads after which the listening ends. */
  readonly maxReads: number
  readonly signal: AbortSignal
}

/** What is asked of an ioredis connection to one server. */
interface Monitored {
  duplicate(options: { readonly monitor: true; readonly lazyConnect: true }): Monitor
}

interface Monitor {
  status: string
  on(event: 'monitor', listener: (time: string, args: readonly string[], source: string) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  once(event: 'ready' | 'monitoring', listener: () => void): unknown
  connect(): Promise<unknown>
  disconnect(): void
}

/**
 * Listens to what servers are asked, for a short while. MONITOR costs a server about half of what it can do while it lasts, so it ends by itself: after
 * `listenMs`, and after `maxReads`.
 */
export async function sampleReads(options: SampleOptions): Promise<Sample> {
  const { nodes, clock, prefix, listenMs, maxReads, signal } = options
  const counts = new Map<string, SampledKey>()
  const enough = new AbortController()
  let reads = 0
  const count = (key: string, node: string) => {
    if (!key.startsWith(prefix)) return
    counts.set(`${node} ${key}`, { key, node, reads: (counts.get(`${node} ${key}`)?.reads ?? 0) + 1 })
    if (++reads >= maxReads) enough.abort()
  }
  const monitors: Monitor[] = []
  const startedMs = clock.monotonicMs()
  try {
    for (const { address, connection } of nodes) {
      await whenReady(connection)
      const monitor = (connection as unknown as Monitored).duplicate({ monitor: true, lazyConnect: true })
      monitors.push(monitor)
      monitor.on('monitor', (_, [command = '', ...keys], source) => {
        // What scripts do comes once more, as theirs.
        if (source === 'lua') return
        const name = command.toLowerCase()
        if (name === 'get') count(keys[0] ?? '', address)
        if (name === 'mget') for (const key of keys) count(key, address)
      })
      await begun(monitor)
    }
    await clock.sleep(listenMs, AbortSignal.any([signal, enough.signal])).catch(() => signal.throwIfAborted())
  } finally {
    for (const monitor of monitors) monitor.disconnect()
  }
  const keys = [...counts.values()].sort((a, b) => b.reads - a.reads)
  return { keys, reads, listenedMs: Math.round(clock.monotonicMs() - startedMs) }
}

/**
 * As `monitor()` of ioredis, which hears that it monitors a turn after the server's OK. Where a server is busy, what comes in one piece with
 * that OK would be taken for the answer to a command that nobody sent, and end it with an error that tells values.
 */
function begun(monitor: Monitor): Promise<void> {
  return new Promise((resolve, reject) => {
    monitor.on('error', reject)
    monitor.once('monitoring', resolve)
    // MONITOR was sent by now, and nothing else is.
    monitor.once('ready', () => {
      monitor.status = 'monitoring'
    })
    monitor.connect().catch(reject)
  })
}
