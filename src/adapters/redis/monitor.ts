/** What is asked of an ioredis connection to one server. */
interface Monitored {
  duplicate(options: { readonly monitor: true; readonly lazyConnect: true }): Monitor
}

/** A connection that hears what its server is asked. */
export interface Monitor {
  status: string
  on(event: 'monitor', listener: (time: string, args: readonly string[], source: string) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  once(event: 'ready' | 'monitoring', listener: () => void): unknown
  connect(): Promise<unknown>
  disconnect(): void
}

/** One like `connection`, which does not listen yet: `beginMonitoring` has it begin. */
export function openMonitor(connection: unknown): Monitor {
  return (connection as Monitored).duplicate({ monitor: true, lazyConnect: true })
}

/**
 * As `monitor()` of ioredis, which hears that it monitors a turn after the server's OK. Where a server is busy, what comes in one piece with
 * that OK would be taken for the answer to a command that nobody sent, and end it with an error that tells values.
 */
export function beginMonitoring(monitor: Monitor): Promise<void> {
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
