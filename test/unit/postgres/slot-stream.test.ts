import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import type { Lsn } from '../../../src/adapters/postgres/lsn.js'
import { SlotStream } from '../../../src/adapters/postgres/slot-stream.js'
import { ManualClock } from '../../support/manual-clock.js'

it('a server that says nothing is given up after ten seconds, and its connection is cut', async () => {
  const server = createServer()
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connected = once(server, 'connection')
  const clock = new ManualClock()
  const { port } = server.address() as AddressInfo
  const opening = SlotStream.open({
    ...{ connection: { host: '127.0.0.1', port, user: 'relay', database: 'shop' }, slot: 'corral', clock },
    confirmed: 0n as Lsn,
    sink: { take: () => {}, passed: () => {}, onEnd: () => {} },
  }).catch((error: unknown) => error)
  const [socket] = await connected
  const cut = once(socket, 'close')
  socket.on('error', () => {})
  socket.resume()
  await clock.advance(10_000)
  const error = await opening
  expect(error).toMatchObject({ code: 'SOURCE_FAILED', cause: { message: 'no answer within 10000 ms' } })
  await cut
  expect(clock.timers).toBe(0)
})
