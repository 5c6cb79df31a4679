import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { EXAMPLES, type ExampleName } from '../../examples/index.js'
import { execute } from '../support/servers/database.js'
import { waitUntil } from '../support/servers/wait.js'
import { freshDatabase, redisUrl } from '../support/services.js'

const databases = Object.fromEntries(
  await Promise.all(Object.keys(EXAMPLES).map(async (name) => [name, await freshDatabase(`example_${name}`)] as const)),
)

/** One of the services, in this process, and a way to ask it that keeps cookies as a browser does. */
async function open(name: ExampleName) {
  const databaseUrl = databases[name] as string
  const service = await (await EXAMPLES[name]()).start({ databaseUrl, redisUrl: redisUrl(), port: 0 })
  onTestFinished(() => service.close())
  return { databaseUrl, ask: visitor(service.url), visitor: () => visitor(service.url) }
}

function visitor(url: string) {
  const cookies = new Map<string, string>()
  return async (route: string, body?: object, headers: Record<string, string> = {}) => {
    const [method = '', path] = route.split(' ')
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ')
    const response = await fetch(url + path, {
      method,
      headers: { cookie, ...headers },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    for (const set of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (set.split(';')[0] as string).split('=')
      cookies.set(name, value)
    }
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : JSON.parse(text), etag: response.headers.get('etag') }
  }
}

describe('examples', () => {
  it('inventory sells the last one once, however many ask at once', async () => {
    const { ask, databaseUrl } = await open('inventory')
    expect(await ask('GET /items/1')).toMatchObject({ status: 200, body: { remaining: 1 } })
    const asked = Array.from({ length: 8 }, (_, at) => ask('POST /items/1/reservations', { customer: `c${at}` }))
    const answers = (await Promise.all(asked)).map(({ status }) => status).sort()
    expect(answers).toEqual([201, 409, 409, 409, 409, 409, 409, 409])
    expect(await execute(databaseUrl, 'select customer from reservations')).toHaveLength(1)
    expect(await ask('GET /items/1')).toMatchObject({ body: { remaining: 0 } })
    expect(await ask('POST /items/99/reservations', {})).toMatchObject({ status: 404 })
  })

  it('sessions let nobody in whose login was ended behind the back of the cache, and show everybody what they wrote', async () => {
    const { ask, visitor: another, databaseUrl } = await open('sessions')
    await ask('POST /login', { user: 'ann' })
    expect(await ask('GET /me')).toMatchObject({ status: 200, body: { nickname: 'ann' } })
    await ask('PUT /me', { nickname: 'Annie' })
    expect(await ask('GET /me')).toMatchObject({ body: { nickname: 'Annie' } })
    expect(await another()('GET /me')).toMatchObject({ status: 401 })
    await execute(databaseUrl, 'delete from logins')
    expect(await ask('GET /me'), 'no fence has told of it').toMatchObject({ status: 401 })
  })

  it('balances are right after the nightly job, and refuse what was decided on an old statement', async () => {
    const { ask, databaseUrl } = await open('balances')
    const balanceOf = async (id: string) => (await ask(`GET /accounts/${id}`)).body.balance
    expect(await ask('POST /transfers', { from: 'alice', to: 'bob', amount: 20_000 })).toMatchObject({ status: 201 })
    expect(await Promise.all([balanceOf('alice'), balanceOf('bob')])).toEqual(['100000', '105000'])
    expect(await ask('POST /transfers', { from: 'bob', to: 'alice', amount: 999_999 })).toMatchObject({ status: 409 })
    const { etag } = await ask('GET /accounts/alice/statement')
    await execute(databaseUrl, readFileSync('examples/balances/nightly-job.sql', 'utf8'))
    await waitUntil('the relay has told of the job', 5_000, async () => (await balanceOf('alice')) === '101000')
    const late = { 'if-match': etag as string }
    expect(await ask('PUT /accounts/alice/owner', { owner: 'A.' }, late)).toMatchObject({ status: 412 })
    const { etag: current } = await ask('GET /accounts/alice/statement')
    const timely = { 'if-match': current as string }
    expect(await ask('PUT /accounts/alice/owner', { owner: 'A.' }, timely)).toMatchObject({ status: 200 })
  })

  it('orders are packed once, by however many workers', async () => {
    const { ask, databaseUrl } = await open('orders')
    const asked = Array.from({ length: 5 }, () => ask('POST /orders/1/parcels'))
    const answers = (await Promise.all(asked)).map(({ status }) => status).sort()
    expect(answers[0]).toBe(201)
    expect(answers.slice(1).every((status) => status === 409 || status === 423)).toBe(true)
    expect(await execute(databaseUrl, 'select id from parcels')).toHaveLength(1)
    expect(await ask('GET /orders/1')).toMatchObject({ body: { state: 'packed' } })
  })

  it('rankings change with the results they are made of, and find drift in what they are made from', async () => {
    const { ask, databaseUrl } = await open('rankings')
    const champion = async () => (await ask('GET /rankings/sprint')).body[0]?.name
    await ask('POST /results', { athlete: 1, event: 'sprint', points: 5 })
    expect(await champion()).toBe('Ada')
    await ask('POST /results', { athlete: 2, event: 'sprint', points: 9 })
    expect(await champion()).toBe('Emmy')
    expect(await ask('GET /athletes/2')).toMatchObject({ body: { name: 'Emmy' } })
    await execute(databaseUrl, `update athletes set name = 'Noether' where id = 2`)
    await waitUntil('the audit has found it', 20_000, async () => (await ask('POST /audits')).body.drifted > 0)
    expect(await ask('GET /athletes/2')).toMatchObject({ body: { name: 'Noether' } })
  })

  it('each starts from the command line', async () => {
    const env = { ...process.env, DATABASE_URL: databases.inventory, REDIS_URL: redisUrl() }
    const child = spawn(process.execPath, ['scripts/run.mjs', 'examples/run.ts', 'inventory'], { env })
    onTestFinished(() => void child.kill('SIGKILL'))
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /http:\S+?(?=;)/.exec(line)?.[0]
      if (url === undefined) continue
      expect(await visitor(url)('GET /items/2')).toMatchObject({ status: 200, body: { name: 'seat' } })
      child.kill('SIGINT')
    }
    expect(child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)))).toBe(0)
  }, 60_000)
})
