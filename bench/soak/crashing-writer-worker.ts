/** A writer that is killed by SIGKILL between its COMMIT and its fence. */
import { Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { createWithSeams } from '../../src/client.js'
import { deadlyStore } from '../../test/support/deadly-store.js'
import { answerQuestions } from '../harness/answer-questions.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'
import type { Shop } from '../harness/shop.js'

export interface CrashingWriterTalk extends Talk {
  open(place: Place): Promise<void>
  /** Gives the rows this stock, in one transaction. Never answers. */
  write(ids: readonly number[], stock: number): Promise<void>
}

let write: CrashingWriterTalk['write']

const talk: CrashingWriterTalk = {
  async open({ postgresUrl, redisUrl, namespace }) {
    const redis = new Redis(redisUrl)
    const pool = new pg.Pool({ connectionString: postgresUrl, max: 2 })
    const db = new Kysely<Shop>({ dialect: new PostgresDialect({ pool }) })
    const corral = createWithSeams({ db, redis, namespace }, { store: deadlyStore(redis, namespace), channel: null })
    const products = corral.repository('products', { key: 'id', unique: ['slug'] })
    await products.find(1)
    write = async (ids, stock) => {
      const [only, ...others] = ids
      if (others.length === 0) await products.update(only as number, { stock })
      else {
        await corral.transaction(async (tx) => {
          for (const id of ids) await products.in(tx).update(id, { stock })
        })
      }
    }
  },
  write: (ids, stock) => write(ids, stock),
}

answerQuestions(talk)
