/** A relay in a process of its own, that does nothing else. */
import { Redis } from 'ioredis'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { startRelay } from '../../src/relay-process.js'
import { answerQuestions } from '../harness/answer-questions.js'
import type { Talk } from '../harness/crew.js'
import type { Place } from '../harness/place.js'

export interface RelayTalk extends Talk {
  open(place: Place): Promise<void>
  isLeader(): boolean
}

let isLeader = () => false

const talk: RelayTalk = {
  async open({ postgresUrl, redisUrl, namespace }) {
    const pool = new pg.Pool({ connectionString: postgresUrl, max: 2 })
    const db = new Kysely({ dialect: new PostgresDialect({ pool }) })
    const relay = startRelay({ db, redis: new Redis(redisUrl), namespace })
    isLeader = () => relay.role === 'leader'
  },
  isLeader: () => isLeader(),
}

answerQuestions(talk)
