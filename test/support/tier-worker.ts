import { answerQuestions } from '../../bench/harness/answer-questions.js'
import { openTier, type Tier, type TierOptions } from './tier-lab.js'
import { type Sight, Watcher } from './tier-log.js'

export type TierTalk = typeof talk

let tier: Tier | undefined
let watcher: Watcher | undefined

function opened(): Tier {
  if (tier === undefined) throw new Error('not opened')
  return tier
}

const talk = {
  /** Answers with this process' id. */
  async open(options: TierOptions): Promise<number> {
    tier = openTier(options)
    return process.pid
  },
  watch(name: string, ids: number[]): void {
    watcher = new Watcher(name, opened().products, ids)
  },
  async stopWatching(): Promise<Sight[]> {
    return (await watcher?.stop()) ?? []
  },
  l1Hits(): number {
    return opened()
      .events.of('hit')
      .filter((hit) => hit.tier === 'l1').length
  },
  /**
   * Holds the row, says so, and does nothing at all for `stillMs`: no message is read and no timer fires, whether the process is
   * stopped meanwhile or not. Answers with what it holds in the moment it goes on.
   */
  async peekAfterStandingStill(id: number, stillMs: number): Promise<number | undefined> {
    const { products } = opened()
    for (let tries = 0; products.peek(id) === undefined && tries < 500; tries++) await products.find(id)
    if (products.peek(id) === undefined) throw new Error('its memory does not keep the row')
    await new Promise<void>((resolve) => process.send?.({ said: 'it holds the row' }, () => resolve()))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stillMs)
    return products.peek(id)?.price
  },
  /** How often its memory was emptied because something may have been missed. */
  flushes(): number {
    return opened().events.count('bus.flush')
  },
  /** The price this process holds in its memory, and how often it has asked Redis or the database so far. */
  held(id: number): { price: number | undefined; asked: number } {
    const { products, events } = opened()
    const asked = events.of('hit').filter((hit) => hit.tier !== 'l1').length + events.count('miss')
    return { price: products.peek(id)?.price, asked }
  },
  /** The price, under a session continued from the token, and the session's token afterwards. */
  async find(id: number, token?: string): Promise<{ price: number | undefined; token: string }> {
    const { corral, products } = opened()
    const session = corral.session(token)
    const row = await (token === undefined ? products.find(id) : products.find(id, { session }))
    return { price: row?.price, token: session.token }
  },
  /** Writes under a new session. */
  async write(id: number, price: number): Promise<{ fence: string | undefined; token: string }> {
    const { corral, products } = opened()
    const session = corral.session()
    const written = await products.update(id, { price }, { session })
    return { fence: written?.fence, token: session.token }
  },
}

answerQuestions(talk)
