import { Redis } from 'ioredis'

/** Sends one command on a connection of its own and returns the answer as text. Rejects when there is none within 2 s. */
export async function redisCommand(port: number, name: string, ...args: (string | number)[]): Promise<string> {
  const connection = new Redis(port, '127.0.0.1', {
    lazyConnect: true,
    connectTimeout: 2_000,
    commandTimeout: 2_000,
    // A server that is still reading its data answers some commands; the check would wait until it has them all.
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  // Without a listener, ioredis prints the errors that connect() and call() report anyway.
  connection.on('error', () => undefined)
  try {
    await connection.connect()
    return String(await connection.call(name, ...args))
  } finally {
    connection.disconnect()
  }
}
