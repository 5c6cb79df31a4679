import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A way for bytes through the proxy: up to the server, or down to the client. */
export type Direction = 'up' | 'down'

/** What the proxy does to the connections through it; every fault may be changed at any moment. */
export interface ProxyFaults {
  /** Every piece of data arrives this much later, in each direction. */
  latencyMs: number
  /** Up to this much more, drawn for each piece; order is kept. */
  jitterMs: number
  /** Bytes going this way vanish while both sockets stay open, as on a half-open connection. */
  blackHole: Direction | 'both' | undefined
  /** The black hole swallows only connections whose client has said this in its first kilobytes. Default: all of them. */
  blackHoleOnly: string | undefined
  /** New connections are reset as soon as they are made. */
  refuse: boolean
  /** The connection is reset once this many bytes have come down it: an answer cut in the middle. */
  cutAfterBytes: number
  /** What the server says arrives as this, piece by piece: for servers that are not to be had, such as old ones. */
  rewrite: ((answer: string) => string) | undefined
}

const NO_FAULTS: Readonly<ProxyFaults> = {
  latencyMs: 0,
  jitterMs: 0,
  blackHole: undefined,
  blackHoleOnly: undefined,
  refuse: false,
  cutAfterBytes: Number.POSITIVE_INFINITY,
  rewrite: undefined,
}

/** Where the proxy passes connections on to. */
export interface ProxyTarget {
  readonly host?: string
  readonly port: number
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** Nothing gets through any more, and nobody is told. */
  isDead: boolean
  downBytes: number
  /** The first of what the client has said. */
  opening: string
}

const OPENING_BYTES = 4_096

/**
 * A TCP proxy on loopback between a client and a server, for faults of the network: slow, half-open, refused, reset,
 * cut. For a server that hangs as a whole, freeze the server.
 */
export class TcpProxy {
  readonly port: number
  readonly #listener: Server
  readonly #pairs: Set<Pair>
  readonly #faults: ProxyFaults
  readonly #target: { host: string; port: number }

  private constructor(listener: Server, pairs: Set<Pair>, faults: ProxyFaults, target: { host: string; port: number }) {
    const address = listener.address()
    this.port = typeof address === 'object' && address !== null ? address.port : 0
    this.#listener = listener
    this.#pairs = pairs
    this.#faults = faults
    this.#target = target
  }

  /** Starts a proxy that passes everything on unharmed. Rejects when it cannot listen. */
  static async start({ host = '127.0.0.1', port }: ProxyTarget): Promise<TcpProxy> {
    const faults: ProxyFaults = { ...NO_FAULTS }
    const pairs = new Set<Pair>()
    const target = { host, port }
    const listener = createServer({ noDelay: true }, (client) => {
      if (faults.refuse) return void client.on('error', () => undefined).resetAndDestroy()
      join(client, connect({ ...target, noDelay: true }), faults, pairs)
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    return new TcpProxy(listener, pairs, faults, target)
  }

  /** `rediss://user@host:1/x` becomes the same URL through this proxy. */
  through(url: string): string {
    const changed = new URL(url)
    changed.hostname = '127.0.0.1'
    changed.port = String(this.port)
    return changed.href
  }

  /** New connections lead there from now on, as when a name is given to another server; those that are open stay where they are. */
  pointAt({ host = '127.0.0.1', port }: ProxyTarget): void {
    Object.assign(this.#target, { host, port })
  }

  /** Changes the faults named and leaves the others. Connections already open feel it with their next data. */
  set(faults: Partial<ProxyFaults>): void {
    Object.assign(this.#faults, faults)
  }

  /** Ends every fault. What a black hole has swallowed stays lost. */
  heal(): void {
    this.set(NO_FAULTS)
  }

  /** Resets every open connection, on both sides. A client sees a reset or a close, whichever comes to its notice first. */
  reset(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
  }

  /** To every client the server's host is gone without a word: open connections stay open and lead nowhere. New ones are well. */
  abandon(): void {
    for (const pair of this.#pairs) {
      pair.isDead = true
      pair.server.destroy()
    }
  }

  /** How many connections are open through the proxy. */
  get connections(): number {
    return this.#pairs.size
  }

  /** Cuts every connection and stops listening. */
  async close(): Promise<void> {
    for (const { client, server } of this.#pairs) {
      client.destroy()
      server.destroy()
    }
    this.#listener.close()
    if (this.#listener.listening) await once(this.#listener, 'close')
  }
}

function join(client: Socket, server: Socket, faults: ProxyFaults, pairs: Set<Pair>): void {
  const pair: Pair = { client, server, isDead: false, downBytes: 0, opening: '' }
  pairs.add(pair)
  const end = (): void => {
    pairs.delete(pair)
    client.destroy()
    server.destroy()
  }
  client.on('error', end).on('close', end)
  server.on('error', end).on('close', () => pair.isDead || end())
  carry(pair, 'up', faults)
  carry(pair, 'down', faults)
}

function carry(pair: Pair, direction: Direction, faults: ProxyFaults): void {
  const [from, to] = direction === 'up' ? [pair.client, pair.server] : [pair.server, pair.client]
  /** In the order of arrival: a timer for each would not keep it, because timers of different length may swap. */
  const delayed: { readonly chunk: Buffer; readonly dueMs: number }[] = []
  const release = (): void => {
    for (let next = delayed[0]; next !== undefined; next = delayed[0]) {
      const waitMs = next.dueMs - performance.now()
      if (waitMs > 0) return void setTimeout(release, waitMs)
      delayed.shift()
      pass(next.chunk, from, to)
    }
  }
  from.on('data', (data) => {
    const chunk = direction === 'down' && faults.rewrite ? rewritten(data, faults.rewrite) : data
    if (direction === 'up' && pair.opening.length < OPENING_BYTES) pair.opening += chunk.toString('latin1')
    if (pair.isDead || isSwallowed(pair, direction, faults)) return
    if (direction === 'down' && isCut(pair, chunk, faults.cutAfterBytes)) return
    const waitMs = faults.latencyMs + Math.random() * faults.jitterMs
    if (waitMs === 0 && delayed.length === 0) return pass(chunk, from, to)
    delayed.push({ chunk, dueMs: performance.now() + waitMs })
    if (delayed.length === 1) release()
  })
}

function rewritten(data: Buffer, rewrite: (answer: string) => string): Buffer {
  return Buffer.from(rewrite(data.toString('latin1')), 'latin1')
}

function isSwallowed({ opening }: Pair, direction: Direction, { blackHole, blackHoleOnly }: ProxyFaults): boolean {
  if (blackHole !== direction && blackHole !== 'both') return false
  return blackHoleOnly === undefined || opening.includes(blackHoleOnly)
}

/** Sends what fits below the limit and resets, when the chunk goes past it. */
function isCut(pair: Pair, chunk: Buffer, limitBytes: number): boolean {
  const before = pair.downBytes
  pair.downBytes += chunk.length
  if (pair.downBytes <= limitBytes) return false
  // A reset throws away what the socket still holds, so it waits until the last bytes are on their way.
  pair.client.write(chunk.subarray(0, Math.max(0, limitBytes - before)), () => pair.client.resetAndDestroy())
  return true
}

function pass(chunk: Buffer, from: Socket, to: Socket): void {
  if (to.destroyed || to.write(chunk)) return
  from.pause()
  to.once('drain', () => from.resume())
}
