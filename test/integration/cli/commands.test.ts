import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { envelope, stamp } from '../../../src/adapters/codec/envelope.js'
import type { Entry } from '../../../src/core/entry.js'
import { guardKey } from '../../../src/core/key.js'
import { runCli, startCli } from '../../support/cli-lab.js'
import { waitUntil } from '../../support/servers/wait.js'
import { redisUrl } from '../../support/services.js'
import { productKey, type ShopProcess } from '../../support/shop-lab.js'
import { TelemetryLab } from '../../support/telemetry-lab.js'
import { insertProduct, openRelayedShop } from '../relay/relay-lab.js'

const shop = await openRelayedShop()
await shop.run(`insert into products (slug, price) select 'p' || n, n from generate_series(1, 600) n`)
const folder = mkdtempSync(join(tmpdir(), 'corral-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function cached(process: ShopProcess, id: number): Promise<number | undefined> {
  return (await process.products.find(id))?.price
}

/** Whether long work has told how far it has come. */
function hasCursor(state: string): boolean {
  return existsSync(state) && readFileSync(state, 'utf8').includes('"cursor"')
}

describe('corral explain', () => {
  it('tells where a row is, and fails when a reader would be shown another one', async () => {
    const reader = shop.start()
    await cached(reader, 1)
    await waitUntil('it is cached', 5_000, async () => (await reader.products.explain(1)).l2.state === 'held')
    const { exitCode, json } = await runCli(shop.start().corral, ['explain', 'products', '1', '--json'])
    expect({ exitCode, json }).toMatchObject({
      exitCode: 0,
      json: { database: { exists: true }, l2: { state: 'held', drift: false } },
    })

    await shop.run('update products set price = 77 where id = 1')
    const drifted = await runCli(shop.start().corral, ['explain', 'products', '1'])
    expect(drifted.exitCode).toBe(1)
    expect(drifted.out).toMatch(/^cache .*DIFFERS FROM THE ROW$/m)
  })

  it('counts what the memory of its process would show', async () => {
    const own = shop.start({ l1: { maxEntries: 10 } })
    await waitUntil('it is held', 5_000, async () => {
      await own.products.find(12)
      return own.products.peek(12) !== undefined
    })
    await shop.run('update products set price = 78 where id = 12')
    // What Redis had is evicted: only memory is wrong.
    const redis = new Redis(redisUrl())
    onTestFinished(() => redis.disconnect())
    await redis.del(productKey(shop.namespace, 12))
    const { exitCode, out } = await runCli(own.corral, ['explain', 'products', '12'])
    expect(out).toMatch(/^cache +nothing$/m)
    expect(out).toMatch(/^memory +version \d+, fresh for \d+ ms, DIFFERS FROM THE ROW$/m)
    expect(exitCode).toBe(1)
  })

  it('says nothing of a cache that does not answer, and fails', async () => {
    const { corral } = shop.start({ redisUrl: 'redis://127.0.0.1:1' })
    const { exitCode, out } = await runCli(corral, ['explain', 'products', '5'])
    expect(exitCode).toBe(4)
    expect(out).toMatch(/^cache {2}does not answer$/m)
    expect(out).not.toMatch(/^(fence|lease)/m)
  })

  it.each([
    [['explain', 'orders', '1'], 'no repository orders: there are products'],
    [
      ['explain', 'products', 'one'],
      'key column `id`: expected a safe integer, a bigint or a string of decimal digits, found a string of 3',
    ],
    [['explain', 'products'], "error: missing required argument 'id'"],
  ])('%j is a mistake of whoever typed it', async (args, message) => {
    const { exitCode, err, out } = await runCli(shop.start().corral, args)
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' })
    expect(err).toContain(message)
  })

  it('says with --json what is wrong as JSON', async () => {
    const wrong = await runCli(shop.start().corral, ['explain', 'products', 'one', '--json'])
    expect(wrong.json).toMatchObject({ error: { exit: 'usage', code: 'KEY_INVALID' } })
    const incomplete = await runCli(shop.start().corral, ['explain', '--json'])
    expect(incomplete.json).toMatchObject({ error: { exit: 'usage' } })
  })
})

describe('corral fence', () => {
  it('makes processes read anew what was changed behind their back', async () => {
    const reader = shop.start({ l1: { maxEntries: 100 } })
    await cached(reader, 2)
    await cached(reader, 3)
    await waitUntil('both are cached', 5_000, async () => reader.events.count('fill') >= 2)
    await shop.run('update products set price = 88 where id in (2, 3)')
    expect(await cached(reader, 2), 'before').toBe(2)
    const { exitCode, json } = await runCli(shop.start().corral, ['fence', 'products', '2', '3', '--json'])
    expect({ exitCode, json }).toEqual({
      exitCode: 0,
      json: { repository: 'products', ids: ['2', '3'], fence: 'fenced' },
    })
    await waitUntil('the reader has heard of it', 5_000, async () => (await cached(reader, 2)) === 88)
    expect(await cached(reader, 3)).toBe(88)
  })

  it('fences nothing when one of the ids is none', async () => {
    const reader = shop.start()
    await cached(reader, 4)
    await waitUntil('it is cached', 5_000, async () => reader.events.count('fill') === 1)
    expect((await runCli(shop.start().corral, ['fence', 'products', '4', 'x'])).exitCode).toBe(2)
    expect((await reader.products.explain(4)).l2).toMatchObject({ state: 'held' })
  })

  it('does not call done what Redis has not acknowledged', async () => {
    const { corral } = shop.start({ redisUrl: 'redis://127.0.0.1:1' })
    const { exitCode, out } = await runCli(corral, ['fence', 'products', '5'])
    expect(exitCode).toBe(4)
    expect(out).toContain('not fenced')
  })
})

describe('corral epoch bump', () => {
  it('asks to be told twice', async () => {
    const { exitCode, err } = await runCli(shop.start().corral, ['epoch', 'bump'])
    expect(exitCode).toBe(2)
    expect(err).toContain('add --yes')
  })

  it('makes everything a miss', async () => {
    const reader = shop.start()
    await cached(reader, 6)
    await shop.run('update products set price = 99 where id = 6')
    const { exitCode, json } = await runCli(shop.start().corral, ['epoch', 'bump', '--yes', '--json'])
    expect({ exitCode, fence: json.fence }).toEqual({ exitCode: 0, fence: 'fenced' })
    expect(json.epoch).toBeGreaterThan(0)
    await waitUntil('the reader knows', 5_000, async () => (await cached(reader, 6)) === 99)
  })
})

describe('corral warm', () => {
  const FAST = ['--rate', '100000', '--concurrency', '50']

  it('fills given ids, what a query selects, what is in a file, and the rows written last', async () => {
    const namespace = `${shop.namespace}-warm`
    const run = (...args: string[]) =>
      runCli(shop.start({ namespace }).corral, ['warm', 'products', ...args, ...FAST, '--json'])
    expect((await run('10', '11')).json).toMatchObject({ done: 2, filled: 2 })
    expect((await run('--query', 'select id from products where id between 10 and 19')).json).toMatchObject({
      done: 10,
      filled: 8,
    })
    expect((await run('--recent', '--limit', '100')).json).toMatchObject({ done: 100 })
    const nothing = await run()
    expect(nothing.exitCode).toBe(2)
    expect((await run('1', '--recent')).exitCode).toBe(2)
    expect((await run('--rate', '0', '1')).exitCode).toBe(2)
    const wide = await runCli(shop.start().corral, ['warm', 'products', '1', '--concurrency', '1001'])
    expect(wide.exitCode, 'more than the library takes').toBe(2)
  })

  it('says on Ctrl-C how to go on, and goes on there', async () => {
    const namespace = `${shop.namespace}-resumed`
    const state = join(folder, 'warm.json')
    const args = ['warm', 'products', '--query', 'select id from products where id <= 500', '--state', state, '--json']
    const process = startCli(shop.start({ namespace }).corral, [...args, '--rate', '250'])
    await waitUntil('it has begun', 10_000, async () => hasCursor(state))
    process.send('SIGINT')
    const { exitCode, json, err } = await process.ended
    expect(exitCode).toBe(130)
    expect(json.error).toMatchObject({ exit: 'interrupted', cursor: expect.any(String) })
    expect(err).toContain(
      `Go on with: corral warm products --query 'select id from products where id <= 500' --state ${state} --rate 250\n`,
    )
    expect(JSON.parse(readFileSync(state, 'utf8')).cursor).toBe(json.error.cursor)

    const other = await runCli(shop.start({ namespace }).corral, ['warm', 'products', '--recent', '--state', state])
    expect(other.exitCode, 'the state of other work').toBe(2)

    const resumed = await runCli(shop.start({ namespace }).corral, [...args, ...FAST])
    expect(resumed.exitCode).toBe(0)
    expect(resumed.json.done).toBeLessThan(500)
    expect(resumed.json.done).toBeGreaterThan(0)
    expect(existsSync(state)).toBe(false)
    const check = await runCli(shop.start({ namespace }).corral, [...args.slice(0, 4), '--json', ...FAST])
    expect(check.json, 'between them they have filled all').toMatchObject({ done: 500, filled: 0, skipped: 500 })
  })

  it('says at once that its state cannot be kept where it is to be, or read', async () => {
    const { corral, events } = shop.start({ namespace: `${shop.namespace}-nowhere` })
    const state = join(folder, 'nowhere', 'warm.json')
    const { exitCode, err, json } = await runCli(corral, ['warm', 'products', '40', '--state', state, '--json'])
    expect(exitCode).toBe(2)
    expect(err).toMatch(/^corral: --state .*nowhere.warm\.json: ENOENT.*\n$/)
    expect(json.error).toMatchObject({ exit: 'usage' })
    expect(events.count('fill'), 'nothing was begun').toBe(0)
    const unreadable = await runCli(shop.start().corral, ['warm', 'products', '40', '--state', folder])
    expect(unreadable).toMatchObject({ exitCode: 2, err: expect.stringMatching(/^corral: --state .*EISDIR.*\n$/) })
  })

  it('draws a bar on a terminal, and only there', async () => {
    const args = ['warm', 'products', '20', '21', ...FAST]
    const shown = await runCli(shop.start().corral, args, { isTTY: true })
    expect(shown.err).toContain('2 of 2')
    expect(shown.out).toMatch(/^2 rows of products: \d filled/)
    expect((await runCli(shop.start().corral, args)).err).toBe('')
  })
})

describe('corral audit and corral rebuild', () => {
  const ids = Array.from({ length: 20 }, (_, at) => 100 + at)

  it('fail where copies cannot be compared, and not for lookups that updates have left behind', async () => {
    const namespace = `${shop.namespace}-undecoded`
    const reader = shop.start({ namespace })
    await reader.products.findBy({ slug: 'p130' })
    await reader.products.find(131)
    await waitUntil('both are cached', 5_000, async () => reader.events.count('fill') >= 2)
    await shop.run(`update products set slug = 'p130-renamed' where id = 130`)
    const audit = (...args: string[]) =>
      runCli(shop.start({ namespace }).corral, ['audit', 'products', '--recheck', '10', ...args])
    const renamed = await audit()
    expect(renamed).toMatchObject({ exitCode: 0, out: expect.stringContaining('\n1 lookups lead to rows without') })

    const key = productKey(namespace, 131)
    const redis = new Redis(redisUrl())
    const opened = envelope.open((await redis.getBuffer(key)) as Buffer, key) as Entry
    const odd = envelope.seal({ ...opened, payload: Buffer.from('["i"]') }, key)
    await redis.set(key, Buffer.from(stamp(odd, opened.filledAtMs)))
    redis.disconnect()
    const undecoded = await audit('--compare', 'rows')
    expect(undecoded).toMatchObject({ exitCode: 1, out: expect.stringContaining('\n1 COULD NOT BE DECODED') })
    const explained = await runCli(shop.start({ namespace }).corral, ['explain', 'products', '131'])
    expect(explained).toMatchObject({ exitCode: 0, out: expect.stringMatching(/^cache +unreadable: payload$/m) })
  })

  it('find what differs, repair it, and then find nothing', async () => {
    const namespace = `${shop.namespace}-audit`
    const reader = shop.start({ namespace })
    await reader.products.findMany(ids)
    await waitUntil('all are cached', 5_000, async () => reader.events.count('fill') >= ids.length)
    await shop.run('update products set price = price + 1 where id in (101, 102, 103)')
    const audit = (...args: string[]) =>
      runCli(shop.start({ namespace }).corral, ['audit', 'products', '--recheck', '10', ...args])
    const found = await audit('--json')
    expect(found).toMatchObject({ exitCode: 1, json: { compared: 20, drifted: 3, repaired: 0 } })
    const repaired = await audit('--repair')
    expect(repaired.exitCode).toBe(0)
    expect(repaired.out).toMatch(/^20 copies compared: 3 drifted, 3 repaired; 0 were on their way\nby kind: 3 behind\n/)
    expect(await audit()).toMatchObject({ exitCode: 0, out: expect.stringContaining('0 drifted') })
    expect((await audit('--after', 'nonsense')).exitCode).toBe(3)
    expect((await runCli(shop.start().corral, ['audit', 'orders'])).exitCode).toBe(2)
  })

  it('make copies new, in pieces if need be', async () => {
    const namespace = `${shop.namespace}-rebuild`
    const reader = shop.start({ namespace })
    const rebuild = (...args: string[]) => startCli(shop.start({ namespace }).corral, ['rebuild', ...args])
    await reader.products.findMany(ids)
    await waitUntil('all are cached', 5_000, async () => reader.events.count('fill') >= ids.length)
    const replaced = await rebuild('products', '--mode', 'refill', '--id', '101', '102', '--json').ended
    expect(replaced.json).toMatchObject({ done: 2, refilled: 2 })
    expect((await rebuild('--mode', 'evict', '--id', '1').ended).exitCode).toBe(2)
    expect((await rebuild('products').ended).err).toContain("'--mode <mode>' not specified")
    expect((await rebuild('--mode', 'evict', '--since', 'yesterday').ended).err).toContain('expected an ISO time')

    const state = join(folder, 'rebuild.json')
    const slow = rebuild('--mode', 'evict', '--rate', '10', '--state', state, '--json')
    await waitUntil('it has begun', 10_000, async () => hasCursor(state))
    slow.send('SIGTERM')
    const { exitCode, json } = await slow.ended
    expect({ exitCode, goOnWith: json.error.goOnWith }).toEqual({
      exitCode: 143,
      goOnWith: `corral rebuild --mode evict --state ${state} --rate 10`,
    })
    const rest = await rebuild('--mode', 'evict', '--rate', '100000', '--state', state, '--json').ended
    expect(rest).toMatchObject({ exitCode: 0 })
    expect(existsSync(state)).toBe(false)
    const left = await Promise.all(ids.map((id) => reader.products.explain(id)))
    expect(left.filter(({ l2 }) => l2.state === 'held')).toEqual([])
  })
})

describe('corral hot-keys', () => {
  it('tells what Redis is asked for most', async () => {
    const namespace = `${shop.namespace}-hot`
    const reader = shop.start({ namespace })
    const process = startCli(shop.start({ namespace }).corral, [
      'hot-keys',
      '--seconds',
      '30',
      '--max-reads',
      '100',
      '--limit',
      '1',
      '--json',
    ])
    let ended = false
    const run = process.ended.finally(() => {
      ended = true
    })
    for (let read = 0; !ended; read++) {
      await reader.products.find(read % 4 === 0 ? 300 + read : 8)
      await sleep(1)
    }
    const { exitCode, json } = await run
    expect({ exitCode, error: json.error }).toEqual({ exitCode: 0, error: undefined })
    expect(json.reads).toBeGreaterThanOrEqual(100)
    expect(json.listenedMs).toBeLessThan(30_000)
    expect(json.keys).toMatchObject([{ key: `${namespace}:{public.products/8}` }])
    expect(json.keys[0].share).toBeGreaterThan(0.5)
  })
})

describe('corral acl', () => {
  it('prints a user that Redis takes, and that can do all that is needed', async () => {
    const { out, json } = await runCli(shop.start().corral, ['acl', '--user', 'cli-test', '--json'])
    expect(out).toContain('"rules"')
    const redis = new Redis(redisUrl())
    await redis.call('ACL', 'SETUSER', json.user, ...json.rules, '>password')
    const url = new URL(redisUrl())
    url.username = json.user
    url.password = 'password'
    const reader = shop.start({ redisUrl: url.href })
    await cached(reader, 9)
    await waitUntil('it is cached', 5_000, async () =>
      reader.events.of('fill').some(({ outcome }) => outcome === 'filled'),
    )
    await redis.call('ACL', 'DELUSER', json.user)
    redis.disconnect()
    const text = await runCli(shop.start().corral, ['acl', '--user', 'cli-test'])
    expect(text.out).toContain(`ACL SETUSER cli-test reset on ><password> ${json.rules.slice(2).join(' ')}`)
  })
})

describe('corral relay', () => {
  it('relays until it is told to end, which is no failure', async () => {
    const namespace = `${shop.namespace}-relay`
    const reader = shop.start({ namespace })
    await cached(reader, 7)
    const sdk = TelemetryLab.open()
    const process = startCli(shop.start({ namespace, telemetry: sdk.options }).corral, ['relay'])
    await waitUntil('it leads', 10_000, async () => process.out().includes('relay.leader state=gained'))
    await shop.run('update products set price = 111 where id = 7')
    await waitUntil('the change is there', 10_000, async () => (await cached(reader, 7)) === 111)
    expect(await sdk.sum('cache.relay.leader'), 'it measures as the config says').toBe(1)
    process.send('SIGTERM')
    const { exitCode, out } = await process.ended
    expect(exitCode).toBe(0)
    expect(out).toContain('relay.leader state=lost')
  })

  it('leaves fences where nothing is cached, if the config says that others load from a standby', async () => {
    const namespace = `${shop.namespace}-standby`
    const process = startCli(shop.start({ namespace, replica: {} }).corral, ['relay'])
    await waitUntil('it leads', 10_000, async () => process.out().includes('relay.leader state=gained'))
    const redis = new Redis(redisUrl())
    onTestFinished(() => redis.disconnect())
    const guard = guardKey(productKey(namespace, await insertProduct(shop)))
    try {
      await waitUntil('the fence is remembered', 5_000, async () => (await redis.exists(guard)) === 1)
    } finally {
      process.send('SIGTERM')
      await process.ended
    }
  })
})

it('says in one line that the instance of the config was closed', async () => {
  const { corral } = shop.start()
  await corral.close()
  const { exitCode, err } = await runCli(corral, ['explain', 'products', '1'])
  expect({ exitCode, err }).toEqual({ exitCode: 3, err: 'corral: this Corral instance was closed\n' })
})

it('says where options go that were given before the command', async () => {
  const { corral } = shop.start()
  for (const args of [['--json'], ['--json', 'doctor'], ['epoch', '--json']]) {
    const { exitCode, err, json } = await runCli(corral, args)
    expect(exitCode).toBe(2)
    expect(err).toMatch(/unknown option '--json'[\s\S]*options go behind the command: corral .*--json/)
    expect(json.error).toMatchObject({ exit: 'usage' })
  }
})

it('runs no relay of its own in other commands, whatever the config says', async () => {
  const namespace = `${shop.namespace}-config`
  const { corral, events } = shop.start({ namespace, relay: true })
  await runCli(corral, ['explain', 'products', '1'])
  const left = events.of('relay.leader')
  expect(left.filter(({ state }) => state === 'gained').length).toBe(
    left.filter(({ state }) => state === 'lost').length,
  )
})
