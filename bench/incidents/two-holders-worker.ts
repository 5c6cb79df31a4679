/** A worker of the campaign: takes every order it is sent, unless somebody else has. May be stopped at any moment. */

import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../../src/core/clock.js'
import { isCorralError } from '../../src/index.js'
import { answerQuestions, say } from '../harness/answer-questions.js'
import type { Talk } from '../harness/crew.js'
import { type CorralService, openCorralService, openService, type Service } from './service.js'

export interface OrderTalk extends Talk {
  open(postgresUrl: string, redisUrl: string, namespace: string, kind: 'naive' | 'corral'): Promise<void>
  /** Works on each order for `workMs`, saying `taken` when it begins; comes back to those that another worker has, until all are done or `untilMs` (shared clock). */
  work(orders: readonly number[], workMs: number, untilMs: number): Promise<void>
  close(): Promise<void>
}

/** How long the naive lock lives; Corral's is given the same. */
const LOCK_MS = 200
/** Before the next order, when one was busy. */
const LOOK_AGAIN_MS = 2

let work: (order: number, workMs: number) => Promise<boolean>
let service: Service

const talk: OrderTalk = {
  async open(postgresUrl, redisUrl, namespace, kind) {
    if (kind === 'naive') {
      const plain = openService(postgresUrl, redisUrl)
      work = naive(plain, namespace)
      service = plain
    } else {
      const own = openCorralService(postgresUrl, redisUrl, { namespace })
      work = withCorral(own)
      service = own
    }
    await service.db.selectFrom('orders').select('id').limit(1).execute()
  },
  async work(orders, workMs, untilMs) {
    const queue = [...orders]
    for (let order = queue.shift(); order !== undefined && machineMs() < untilMs; order = queue.shift()) {
      if (await work(order, workMs)) continue
      queue.push(order)
      await sleep(LOOK_AGAIN_MS)
    }
  },
  close: () => service.close(),
}

/** The lock of the story: look, then SET NX with a short life; then everything else in the belief to be alone. */
function naive({ db, redis }: Service, namespace: string) {
  return async (order: number, workMs: number) => {
    const key = `${namespace}:lock:${order}`
    if ((await redis.get(key)) !== null) return false
    if ((await redis.set(key, process.pid, 'PX', LOCK_MS, 'NX')) === null) return false
    const row = await db.selectFrom('orders').select('state').where('id', '=', order).executeTakeFirst()
    if (row?.state === 'new') {
      say('taken')
      await sleep(workMs)
      await db.insertInto('parcels').values({ order_id: order }).execute()
      await db.insertInto('ledger').values({ order_id: order }).execute()
      await db.updateTable('orders').set({ state: 'done' }).where('id', '=', order).execute()
    }
    await redis.del(key)
    return true
  }
}

/** The same work; what it writes, it writes in a transaction that asks whether the lock is still its own. */
function withCorral({ db, corral }: CorralService) {
  return async (order: number, workMs: number) => {
    try {
      await corral.withFencedLock(
        `order:${order}`,
        async (lock) => {
          const row = await db.selectFrom('orders').select('state').where('id', '=', order).executeTakeFirst()
          if (row?.state !== 'new') return
          say('taken')
          await sleep(workMs)
          await corral.transaction(async (tx) => {
            await lock.assertHeld(tx)
            await tx.insertInto('parcels').values({ order_id: order }).execute()
            await tx.insertInto('ledger').values({ order_id: order }).execute()
            await tx.updateTable('orders').set({ state: 'done' }).where('id', '=', order).execute()
          })
        },
        { ttlMs: LOCK_MS, waitMs: 0 },
      )
      return true
    } catch (error) {
      if (isCorralError(error, 'LOCK_BUSY') || isCorralError(error, 'LOCK_LOST')) return false
      throw error
    }
  }
}

answerQuestions(talk)
