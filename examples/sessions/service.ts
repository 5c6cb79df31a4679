import { randomUUID } from 'node:crypto'
import { createCorral } from 'corral'
import { stampTable } from 'corral/migrations'
import { type GeneratedAlways, type Kysely, sql } from 'kysely'
import { type Answer, type Request, serve } from '../http.js'
import { connect, type Place, type Service } from '../place.js'

interface Database {
  users: { id: string; nickname: string; corral_version: GeneratedAlways<string> }
  logins: { id: string; user_id: string; corral_version: GeneratedAlways<string> }
}

/** Cookies: `login` says who it is, `seen` what they have written and seen, so that every process shows them at least that. */
type Handler = (request: Request, userId: string) => Promise<Answer>

/** Logins live in Postgres; Redis only has copies, and each is verified before it lets anybody in. */
export async function start(place: Place): Promise<Service> {
  const { db, redis, close } = connect<Database>(place)
  await migrate(db)
  const corral = createCorral({ db, redis, namespace: 'sessions' })
  const users = corral.repository('users', { key: 'id' })
  const logins = corral.repository('logins', { key: 'id' })

  /** A login that was ended must not work anywhere for a moment longer, whatever a cache holds. */
  const authenticated = (handle: Handler) => async (request: Request) => {
    const { login } = request.cookies
    const found = login ? await logins.find(login, { consistency: 'verified' }) : undefined
    return found ? handle(request, found.user_id) : { status: 401 }
  }
  const seenBy = ({ cookies }: Request) => corral.session(cookies.seen, { invalid: 'ignore' })

  const server = await serve(
    {
      'POST /login': async ({ body }) => {
        const id = String(body.user)
        await users.upsert({ id, nickname: id })
        const { row } = await logins.insert({ id: randomUUID(), user_id: id })
        return { status: 201, cookies: { login: row.id } }
      },
      'POST /logout': async ({ cookies }) => {
        if (cookies.login) await logins.delete(cookies.login)
        return { status: 200, cookies: { login: '' } }
      },
      'PUT /me': authenticated(async (request, userId) => {
        const session = seenBy(request)
        await users.update(userId, { nickname: String(request.body.nickname) }, { session })
        return { cookies: { seen: session.token ?? '' } }
      }),
      'GET /me': authenticated(async (request, userId) => {
        const session = seenBy(request)
        const user = await users.find(userId, { session })
        return { body: { nickname: user?.nickname }, cookies: { seen: session.token ?? '' } }
      }),
    },
    place.port,
  )
  return {
    url: server.url,
    async close() {
      await server.close()
      await corral.close()
      await close()
    },
  }
}

async function migrate(db: Kysely<Database>): Promise<void> {
  await sql`create table if not exists users (id text primary key, nickname text not null)`.execute(db)
  await sql`create table if not exists logins (id uuid primary key, user_id text not null references users)`.execute(db)
  for (const table of ['users', 'logins']) await stampTable({ table, key: 'id' }).up(db)
}
