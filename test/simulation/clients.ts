import { isCorralError } from '../../src/core/errors.js'
import { successor, type Version } from '../../src/core/version.js'
import type { Session } from '../../src/session.js'
import type { History } from '../../src/testing/history.js'
import type { ShopProcess } from './process.js'
import type { Mix, Profile } from './profile.js'
import type { Scheduler } from './scheduler.js'

type Call = keyof Mix

/** What a write returned. */
interface Result {
  readonly row: { readonly corral_version: string }
  readonly version: string | undefined
  readonly fence: 'fenced' | 'pending'
}

/** Bounds that bounded reads are given. */
const BOUNDS_MS = [150, 400, 1_000]
/** A prices' own business: any number will do. */
const PRICES = 1_000

export interface ClientOptions {
  readonly name: string
  readonly profile: Profile
  readonly scheduler: Scheduler
  readonly history: History
  /** Those that are alive. */
  readonly processes: () => readonly ShopProcess[]
  /** Where it calls if it does not roam. */
  readonly home: () => ShopProcess
  readonly startsAtMs: number
  readonly tell: (who: string, what: string) => void
  readonly onRollback: () => void
  /** The watermark allows a bounded read to be answered by the cache. */
  readonly onProven: () => void
  /** A read failed for a reason other than the database. */
  readonly onFailedRead: (error: unknown) => void
}

/** A user: one call after the other, at one process or, under a session, at any of them. */
export class Client {
  readonly #options: ClientOptions
  readonly #calls: readonly (readonly [Call, number])[]
  #token: string | undefined
  hasEnded = false
  #at: ShopProcess | undefined

  constructor(options: ClientOptions) {
    this.#options = options
    this.#calls = Object.entries(options.profile.mix) as [Call, number][]
  }

  /** The process is gone whose answer it waits for. */
  get isAlone(): boolean {
    return this.#at?.host.isDead === true
  }

  async run(): Promise<void> {
    const { profile, scheduler, startsAtMs } = this.#options
    const { warmMs = 0 } = profile
    if (warmMs > 0 && startsAtMs === 0) {
      await this.#pause(scheduler.between(0, warmMs / 2))
      await this.#options.home().products.find(1)
      await this.#pause(warmMs - scheduler.nowMs)
    }
    await this.#pause(startsAtMs)
    for (let call = 0; call < profile.calls; call++) {
      await this.#pause(scheduler.between(0, 2 * profile.thinkMs))
      const process = profile.roams ? scheduler.pick(this.#options.processes()) : this.#options.home()
      if (process === undefined || process.host.isDead) break
      this.#at = process
      // A process that is stopped is asked when it goes on.
      await new Promise<void>((resolve) => process.host.receive(resolve, this))
      await this.#call(process)
    }
    this.hasEnded = true
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.scheduler.after(ms, resolve))
  }

  async #call(process: ShopProcess): Promise<void> {
    const { name, tell, profile } = this.#options
    const { observer, corral } = process
    const call = this.#draw()
    const session = profile.roams ? observer.name(corral.session(this.#token), name) : undefined
    const where = `${name} at ${process.host.name}`
    try {
      const startedMs = process.host.clock.monotonicMs()
      const said = await this.#make(call, process, session, startedMs)
      tell(where, `${call} ${said}`)
    } catch (error) {
      tell(where, `${call} failed: ${error instanceof Error ? error.message : String(error)}`)
      if (READS.has(call) && !isOfDatabase(error)) this.#options.onFailedRead(error)
    }
    if (session) this.#token = session.token
  }

  #draw(): Call {
    const { scheduler } = this.#options
    let left = scheduler.between(
      0,
      this.#calls.reduce((sum, [, weight]) => sum + weight, 0),
    )
    for (const [call, weight] of this.#calls) {
      left -= weight
      if (left < 0) return call
    }
    return 'find'
  }

  async #make(call: Call, process: ShopProcess, session: Session | undefined, startedMs: number): Promise<string> {
    const { scheduler, profile } = this.#options
    const { products } = process
    const under = session && { session }
    const id = 1 + Math.floor(scheduler.between(0, profile.ids))
    const price = Math.floor(scheduler.between(0, PRICES))
    const wrote = (result: Result | undefined, absent = false) => this.#wrote(process, id, startedMs, result, absent)
    switch (call) {
      case 'find':
        return shown(id, await products.find(id, under))
      case 'verified':
      case 'primary':
      case 'refresh':
        return shown(id, await products.find(id, { consistency: call, ...under }))
      case 'bounded': {
        const maxStaleMs = scheduler.pick(BOUNDS_MS)
        const row = await products.find(id, { consistency: { maxStaleMs }, ...under })
        const { watermarkAgeMs = Number.POSITIVE_INFINITY } = process.corral.stats()
        if (watermarkAgeMs < maxStaleMs) this.#options.onProven()
        return `within ${maxStaleMs} ms ${shown(id, row)}`
      }
      case 'findMany': {
        const ids = Array.from({ length: profile.ids }, (_, at) => at + 1)
        const rows = await products.findMany(ids, under)
        return ids.map((each, at) => shown(each, rows[at])).join(', ')
      }
      case 'findBy':
        return this.#findBy(process, scheduler.pick(skusOf(profile.ids)))
      case 'insert':
        return wrote(await products.insert({ id, sku: skuOf(id), price }, under))
      case 'upsert':
        return wrote(await products.upsert({ id, sku: skuOf(id), price }, under))
      case 'update':
        return wrote(await products.update(id, { price }, under))
      case 'moveSku':
        return wrote(await products.update(id, { sku: scheduler.pick(skusOf(profile.ids)) }, under))
      case 'delete':
        return wrote(await products.delete(id, under), true)
      case 'mutate':
        return wrote(await products.mutate(id, (row) => ({ price: row.price + 1 }), under))
      case 'transaction':
        return this.#transaction(process, session)
    }
  }

  /** Of a table without a stamp, the row itself tells the check which state the write has left. */
  #wrote(process: ShopProcess, id: number, startedMs: number, result: Result | undefined, absent: boolean): string {
    if (result === undefined) return `${id}: no such row`
    const { row, fence } = result
    if (result.version === undefined) {
      const { clock, name } = process.host
      const version = absent ? successor(row.corral_version as Version) : row.corral_version
      const write = { key: `products/${id}`, startedMs, endedMs: clock.monotonicMs(), version, absent, outcome: fence }
      this.#options.history.write({ process: name, ...write })
    }
    return `${id}: ${absent ? 'gone, was ' : ''}${row.corral_version}, ${fence}`
  }

  /** A row that is found by a column is held against its own history as any other. */
  async #findBy(process: ShopProcess, sku: string): Promise<string> {
    const { history } = this.#options
    const startedMs = process.host.clock.monotonicMs()
    const row = await process.products.findBy({ sku })
    if (row === undefined) return `${sku}: none`
    const [key = '', version = ''] = row.says.split(' ')
    history.read({
      ...{ process: process.host.name, startedMs, endedMs: process.host.clock.monotonicMs() },
      ...{ key: `products/${row.id}`, version: row.corral_version, says: { key, version } },
      // Which tier has answered nobody tells here; the row's may have been memory.
      from: 'memory',
    })
    return `${sku}: ${shown(row.id, row)}`
  }

  /** Writes two rows, one of them by a statement of the application's own, reads in between, and may think better of it. */
  async #transaction(process: ShopProcess, session: Session | undefined): Promise<string> {
    const { scheduler, profile, history } = this.#options
    const { corral, products, host } = process
    const startedMs = host.clock.monotonicMs()
    const price = Math.floor(scheduler.between(0, PRICES))
    const [first = 1, second = 1] = scheduler.happens(0.5) ? [1, profile.ids] : [profile.ids, 1]
    const rollsBack = scheduler.happens(0.25)
    const isPartly = scheduler.happens(0.3)
    const written = new Map<number, { version: string; absent: boolean }>()
    const note = (id: number, row: { corral_version: string } | undefined) => {
      if (row) written.set(id, { version: row.corral_version, absent: false })
    }
    const isolationLevel = scheduler.happens(0.2) ? ('repeatable read' as const) : undefined
    const options = { ...(session ? { session } : {}), ...(isolationLevel ? { isolationLevel } : {}) }
    const { fence } = await corral.transaction(async (tx) => {
      const inside = products.in(tx)
      note(first, (await inside.update(first, { price }))?.row)
      await inside.find(first)
      // The cached way to the same row, while it is written: must not be filled with what is not committed.
      if (scheduler.happens(0.5)) void products.find(first).catch(() => {})
      if (isPartly) {
        const before = new Map(written)
        const undo = async () => {
          await tx.savepoint(async (inner) => {
            await products.in(inner).update(second, { price: price + 1 })
            throw new Undone()
          })
        }
        await undo().catch((error) => {
          if (!(error instanceof Undone)) throw error
        })
        written.clear()
        for (const [id, state] of before) written.set(id, state)
      }
      const statement = tx.updateTable('products').set({ price }).where('id', '=', second).returningAll()
      note(second, (await statement.executeTakeFirst()) as { corral_version: string } | undefined)
      if (scheduler.happens(0.2)) {
        const gone = await inside.delete(second)
        if (gone) written.set(second, { version: successor(gone.version as Version), absent: true })
      }
      if (rollsBack) {
        this.#options.onRollback()
        throw new Undone()
      }
    }, options)
    for (const [id, { version, absent }] of written) {
      history.write({
        ...{ process: host.name, key: `products/${id}`, startedMs, endedMs: host.clock.monotonicMs() },
        ...{ version, absent, outcome: fence, session: session && this.#options.name },
      })
    }
    return `${fence}: ${[...written].map(([id, { version, absent }]) => `${id} is ${absent ? 'gone' : version}`).join(', ')}`
  }
}

class Undone extends Error {
  constructor() {
    super('thought better of it')
  }
}

const READS: ReadonlySet<Call> = new Set([
  ...(['find', 'findMany', 'findBy', 'verified', 'primary', 'refresh', 'bounded'] as const),
])

function isOfDatabase(error: unknown): boolean {
  return isCorralError(error, 'SOURCE_FAILED') || isCorralError(error, 'FILL_TIMEOUT')
}

export function skuOf(id: number): string {
  return `sku-${id}`
}

/** One more than there are rows, so that they can move. */
function skusOf(ids: number): readonly string[] {
  return Array.from({ length: ids + 1 }, (_, at) => skuOf(at + 1))
}

function shown(id: number, row: { corral_version: string; price: number } | undefined): string {
  return row === undefined ? `${id}: none` : `${id}: ${row.corral_version}`
}
