import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../src/core/clock.js'

describe('systemClock', () => {
  it('fires on time in a process that waits for the network and for nothing else', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const socket = connect(port, '127.0.0.1')
    // What a process full of connections would do next anyway.
    const heartbeat = setInterval(() => {}, 2_000)
    onTestFinished(() => {
      clearInterval(heartbeat)
      socket.destroy()
      server.close()
    })
    for (const ms of [5, 50]) {
      const startedMs = systemClock.monotonicMs()
      await new Promise<void>((resolve) => void systemClock.after(ms, resolve))
      const tookMs = systemClock.monotonicMs() - startedMs
      expect(tookMs).toBeGreaterThanOrEqual(ms - 1)
      expect(tookMs).toBeLessThan(ms + 800)
    }
  })

  it('does not fire what was cancelled, also in the last moment', async () => {
    let fired = 0
    const cancelAtOnce = systemClock.after(10, () => fired++)
    cancelAtOnce()
    const cancels: (() => void)[] = []
    await new Promise<void>((resolve) => {
      // Due together with the one that cancels it.
      systemClock.after(10, () => {
        for (const cancel of cancels) cancel()
        setTimeout(resolve, 30)
      })
      cancels.push(systemClock.after(10, () => fired++))
    })
    expect(fired).toBe(0)
  })

  it('sleeps until it is told not to', async () => {
    const aborting = new AbortController()
    const sleeping = systemClock.sleep(60_000, aborting.signal)
    aborting.abort(new Error('enough'))
    await expect(sleeping).rejects.toThrow('enough')
    await expect(systemClock.sleep(1, aborting.signal)).rejects.toThrow('enough')
    await systemClock.sleep(1)
  })

  it('ends a tick after everything that is already awake', async () => {
    const order: string[] = []
    const ended = new Promise<void>((resolve) =>
      systemClock.endOfTick(() => {
        order.push('end of tick')
        resolve()
      }),
    )
    let job = Promise.resolve()
    for (let i = 0; i < 20; i++) {
      job = job.then(() => {
        order.push('job')
      })
    }
    await ended
    expect(order.at(-1)).toBe('end of tick')
    expect(order).toHaveLength(21)
  })

  it('ends a turn after what several connections have brought', async () => {
    const peers: Socket[] = []
    const server = createServer((peer) => void peers.push(peer)).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    onTestFinished(() => {
      for (const socket of [...connections, ...peers]) socket.destroy()
      server.close()
    })
    const { port } = server.address() as { port: number }
    const order: string[] = []
    const connections = Array.from({ length: 8 }, () => connect(port, '127.0.0.1'))
    while (peers.length < connections.length) await new Promise((resolve) => setImmediate(resolve))
    const ended = Promise.all(
      connections.map(
        (socket, at) =>
          new Promise<void>((resolve) => {
            socket.once('data', () => {
              order.push('data')
              systemClock.endOfTurn(() => {
                order.push(`end ${at}`)
                resolve()
              })
            })
          }),
      ),
    )
    for (const peer of peers) peer.write('news')
    // While this process does something else, all of it arrives.
    const untilMs = systemClock.monotonicMs() + 50
    while (systemClock.monotonicMs() < untilMs);
    await ended
    expect(order.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => 'data'))
  })
})
