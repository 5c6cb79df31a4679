import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TcpProxy } from '../../support/tcp-proxy.js'

/** Sends back whatever it gets. */
let echo: Server
let echoed: number
let proxy: TcpProxy
const clients: Socket[] = []

beforeEach(async () => {
  echoed = 0
  echo = createServer((socket) => {
    socket
      .on('error', () => undefined)
      .on('data', (data) => {
        echoed += data.length
        socket.write(data)
      })
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  proxy = await TcpProxy.start({ port: (echo.address() as { port: number }).port })
})

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await proxy.close()
  echo.close()
})

async function open(): Promise<{ socket: Socket; received: () => string; ending: Promise<string> }> {
  const socket = connect(proxy.port, '127.0.0.1')
  clients.push(socket)
  let received = ''
  socket.on('data', (data) => {
    received += data
  })
  const ending = new Promise<string>((resolve) => {
    // Node closes before it resets, so that a client may come to know of either.
    socket.once('error', (error) =>
      resolve((error as NodeJS.ErrnoException).code === 'ECONNRESET' ? 'cut' : error.message),
    )
    socket.once('close', () => resolve('cut'))
  })
  await Promise.race([once(socket, 'connect'), ending])
  return { socket, received: () => received, ending }
}

test('passes everything on, in order, also more than a socket holds', async () => {
  const { socket, received } = await open()
  const text = Array.from({ length: 200_000 }, (_, index) => `${index} `).join('')
  socket.write(text)
  await expect.poll(() => received().length).toBe(text.length)
  expect(received() === text).toBe(true)
  expect(proxy.connections).toBe(1)
})

test('delays each direction, in order, without lowering the rate', async () => {
  const { socket, received } = await open()
  proxy.set({ latencyMs: 60, jitterMs: 20 })
  const startedMs = performance.now()
  for (let index = 0; index < 20; index++) {
    socket.write(`${index} `)
    await sleep(2)
  }
  const sent = Array.from({ length: 20 }, (_, index) => `${index} `).join('')
  await expect.poll(received, { interval: 5 }).toBe(sent)
  const tookMs = performance.now() - startedMs
  expect(tookMs).toBeGreaterThanOrEqual(120)
  expect(tookMs).toBeLessThan(600)
})

test.each([
  ['up', 0],
  ['down', 4],
  ['both', 0],
] as const)('swallows what goes %s while the connection stays open', async (blackHole, reaching) => {
  const { socket, received } = await open()
  proxy.set({ blackHole })
  socket.write('lost')
  await sleep(50)
  expect(echoed).toBe(reaching)
  expect(received()).toBe('')
  proxy.heal()
  socket.write('kept')
  await expect.poll(received).toBe('kept')
})

test('swallows only what belongs to connections whose client has said a certain word', async () => {
  const [named, other] = [await open(), await open()]
  named.socket.write('I am the subscriber')
  other.socket.write('I am another')
  await expect.poll(named.received).toBe('I am the subscriber')
  await expect.poll(other.received).toBe('I am another')
  proxy.set({ blackHole: 'both', blackHoleOnly: 'subscriber' })
  named.socket.write(' lost')
  other.socket.write(' kept')
  await expect.poll(other.received).toBe('I am another kept')
  expect(named.received()).toBe('I am the subscriber')
})

test('refuses new connections and leaves the old ones', async () => {
  const old = await open()
  proxy.set({ refuse: true })
  const { ending } = await open()
  expect(await ending).toBe('cut')
  old.socket.write('still here')
  await expect.poll(old.received).toBe('still here')
})

test('resets open connections', async () => {
  const { ending } = await open()
  await expect.poll(() => proxy.connections).toBe(1)
  proxy.reset()
  expect(await ending).toBe('cut')
  await expect.poll(() => proxy.connections).toBe(0)
})

test('cuts an answer in the middle', async () => {
  proxy.set({ cutAfterBytes: 6 })
  const { socket, received, ending } = await open()
  socket.write('0123456789')
  expect(await ending).toBe('cut')
  expect(received()).toBe('012345')
})

test('gives the address that leads through it', () => {
  expect(proxy.through('postgres://me:word@example.test:5432/shop?x=1')).toBe(
    `postgres://me:word@127.0.0.1:${proxy.port}/shop?x=1`,
  )
})
