import { whenReady } from '../adapters/redis/connection.js'
import { beginMonitoring, type Monitor, openMonitor } from '../adapters/redis/monitor.js'
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

/**
 * Listens to the commands that servers get, for a short while. MONITOR takes about half of a server's throughput, so it ends by itself: after
 * `listenMs` or `maxReads`, whichever comes first.
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
      const monitor = openMonitor(connection)
      monitors.push(monitor)
      monitor.on('monitor', (_, [command = '', ...keys], source) => {
        // What scripts do comes once more, as theirs.
        if (source === 'lua') return
        const name = command.toLowerCase()
        if (name === 'get') count(keys[0] ?? '', address)
        if (name === 'mget') for (const key of keys) count(key, address)
      })
      await beginMonitoring(monitor)
    }
    await clock.sleep(listenMs, AbortSignal.any([signal, enough.signal])).catch(() => signal.throwIfAborted())
  } finally {
    for (const monitor of monitors) monitor.disconnect()
  }
  const keys = [...counts.values()].sort((a, b) => b.reads - a.reads)
  return { keys, reads, listenedMs: Math.round(clock.monotonicMs() - startedMs) }
}
