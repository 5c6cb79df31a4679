import { Socket } from 'node:net'
import type { Pgoutput } from 'pg-logical-replication'
import type { Clock } from '../../core/clock.js'
import { ConfigError, SourceError } from '../../core/errors.js'
import { formatLsn, type Lsn, parseLsn } from './lsn.js'
import { SILENCE } from './relay-lead.js'
import { PUBLICATION } from './slot-sql.js'

/** How long the server gets to begin: the other end of a connection may be gone without a word. */
const OPEN_MS = 10_000
/** How long the server gets to end the stream in good order. */
const CLOSE_MS = 1_000
/** Of this session: how it spells values, and how long it may be silent until its slot is free for another. */
const SESSION = `-c wal_sender_timeout=${SILENCE} -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex -c timezone=UTC`

/** What `new Client()` of `pg` takes. */
export type ConnectionOptions = Readonly<Record<string, unknown>>

/**
 * A slot being read, over a connection of its own. What it tells goes to the sink in the order it comes, at once: the server's word that
 * there is nothing more up to some place overtakes nothing.
 */
export class SlotStream {
  readonly #service: Service
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #ended: Promise<void>
  #confirmed: Lsn
  #failure: unknown

  private constructor(parts: { service: Service; socket: Socket; clock: Clock; confirmed: Lsn; ended: Promise<void> }) {
    this.#service = parts.service
    this.#socket = parts.socket
    this.#clock = parts.clock
    this.#confirmed = parts.confirmed
    this.#ended = parts.ended
  }

  /**
   * Resolves when the server tells. @throws SourceError when it does not within ten seconds, ConfigError where the package is not installed.
   *
   * @param options.confirmed where the slot begins to tell.
   */
  static async open(options: SlotStreamOptions): Promise<SlotStream> {
    const { clock, sink, slot, confirmed } = options
    const { LogicalReplicationService, PgoutputPlugin } = await loadLibrary()
    const socket = new Socket()
    let stream: SlotStream | undefined
    let early: unknown
    const fail = (error: unknown) => {
      early ??= error
      if (stream) stream.#failure ??= error
      sink.onEnd()
    }
    /** The library hands messages on later than it hands on the server's word of how far it has come; here is where both are in order. */
    class OrderedPlugin extends PgoutputPlugin {
      override parse(buffer: Buffer): Pgoutput.Message {
        try {
          const message = super.parse(buffer)
          sink.take(message)
          return message
        } catch (error) {
          // Thrown from here it would be nobody's.
          fail(error)
          return { tag: 'origin', originLsn: null, originName: '' }
        }
      }
    }
    const session = [options.connection.options, SESSION].filter(Boolean).join(' ')
    const service = new LogicalReplicationService(
      { stream: () => socket, ...options.connection, options: session } as object,
      // By itself it would confirm whatever has arrived.
      { acknowledge: { auto: false, timeoutSeconds: 0 } },
    )
    service.on('error', fail)
    service.on('heartbeat', (lsn, _timestamp, shouldRespond) => {
      sink.passed(parseLsn(lsn))
      if (shouldRespond) stream?.acknowledge()
    })
    const plugin = new OrderedPlugin({ protoVersion: 1, publicationNames: [PUBLICATION] })
    const started = new Promise<void>((resolve) => void service.on('start', () => resolve()))
    const ended = service.subscribe(plugin, slot, '0/0').then(
      () => fail(new Error('the server has ended the stream')),
      (error) => fail(error),
    )
    const cancel = clock.after(OPEN_MS, () => {
      fail(new Error(`no answer within ${OPEN_MS} ms`))
      socket.destroy()
    })
    await Promise.race([started, ended])
    cancel()
    stream = new SlotStream({ service, socket, clock, confirmed, ended })
    if (early !== undefined) {
      await stream.close()
      throw new SourceError(`reading slot ${slot}`, early)
    }
    return stream
  }

  /** Why it tells no more; undefined while it does. */
  get failure(): unknown {
    return this.#failure
  }

  /** The server need not keep what ended up to here; without a place: this process is there. */
  acknowledge(lsn: Lsn = this.#confirmed): void {
    if (lsn > this.#confirmed) this.#confirmed = lsn
    this.#say(false)
  }

  /** Asks the server how far it has come, and says that this process is there. */
  ask(): void {
    this.#say(true)
  }

  async close(): Promise<void> {
    this.#failure ??= new Error('closed')
    const given = new AbortController()
    const patience = this.#clock.sleep(CLOSE_MS, given.signal).catch(() => {})
    await Promise.race([this.#service.destroy().then(() => this.#ended), patience]).catch(() => {})
    given.abort()
    this.#socket.destroy()
  }

  #say(wantsReply: boolean): void {
    // The library confirms one byte more than it is given. A commit record may begin at the very byte where the last one has ended,
    // and the server would take that transaction for confirmed.
    const last = this.#confirmed > 0n ? this.#confirmed - 1n : 0n
    void this.#service.acknowledge(formatLsn(last), wantsReply).catch(() => {})
  }
}

export interface SlotStreamOptions {
  readonly connection: ConnectionOptions
  readonly slot: string
  readonly confirmed: Lsn
  readonly clock: Clock
  readonly sink: {
    take(message: Pgoutput.Message): void
    /** Everything that committed up to here has been told. */
    passed(lsn: Lsn): void
    /** Nothing more comes. */
    onEnd(): void
  }
}

type Service = InstanceType<Awaited<ReturnType<typeof loadLibrary>>['LogicalReplicationService']>

async function loadLibrary() {
  try {
    return await import('pg-logical-replication')
  } catch (error) {
    throw new ConfigError('relay.source', 'package pg-logical-replication to be installed for `slot`', error)
  }
}
