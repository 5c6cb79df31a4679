import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { TickBatch } from '../../../src/engine/tick-batch.js'
import { ManualClock, settle } from '../../support/manual-clock.js'

const clock = new ManualClock()

function open(maxSize = 100, send?: (requests: number[]) => Promise<readonly string[]>, inTurn = false) {
  const sent: number[][] = []
  const batch = new TickBatch<number, string>({
    when: (leave) => clock.endOfTick(leave),
    maxSize,
    inTurn,
    send: async (requests) => {
      sent.push([...requests])
      return send ? send(requests) : requests.map((request) => `reply ${request}`)
    },
  })
  return { batch, sent }
}

describe('TickBatch', () => {
  it('sends what one tick asks for at once and gives each its own reply', async () => {
    const { batch, sent } = open()
    const replies = await Promise.all([3, 1, 3].map((request) => batch.ask(request)))
    expect(replies).toEqual(['reply 3', 'reply 1', 'reply 3'])
    expect(sent).toEqual([[3, 1, 3]])
  })

  it('lets everybody who is already awake ask before it leaves', async () => {
    const { batch, sent } = open()
    const later = async (request: number, jobs: number) => {
      for (let i = 0; i < jobs; i++) await undefined
      return batch.ask(request)
    }
    await Promise.all([later(1, 0), later(2, 3), later(3, 30)])
    expect(sent).toEqual([[1, 2, 3]])
  })

  it('starts a new batch in the next tick', async () => {
    const { batch, sent } = open()
    await batch.ask(1)
    await batch.ask(2)
    expect(sent).toEqual([[1], [2]])
  })

  it('leaves at once when it is full, and goes on with another', async () => {
    const { batch, sent } = open(3)
    const asked = Array.from({ length: 7 }, (_, at) => batch.ask(at))
    expect(sent, 'before the tick has ended').toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ])
    expect(await Promise.all(asked)).toHaveLength(7)
    expect(sent).toEqual([[0, 1, 2], [3, 4, 5], [6]])
  })

  it('fails all requests of a batch that failed, with one error, and no other', async () => {
    let fails = true
    const { batch } = open(100, async (requests) => {
      if (fails) throw new Error('away')
      return requests.map(String)
    })
    const outcomes = await Promise.allSettled([batch.ask(1), batch.ask(2)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    fails = false
    expect(await batch.ask(3)).toBe('3')
  })

  it('does not wait for a batch that is under way', async () => {
    let finish = () => {}
    const gate = new Promise<void>((resolve) => {
      finish = resolve
    })
    const { batch, sent } = open(100, async (requests) => {
      if (requests[0] === 1) await gate
      return requests.map(String)
    })
    const first = batch.ask(1)
    await settle()
    expect(await batch.ask(2)).toBe('2')
    finish()
    expect(await first).toBe('1')
    expect(sent).toEqual([[1], [2]])
  })

  describe('in turn', () => {
    function openInTurn(maxSize: number) {
      const answers: (() => void)[] = []
      const answer = () => new Promise<void>((resolve) => answers.push(resolve))
      const send = async (requests: number[]) => {
        await answer()
        if (requests.includes(-1)) throw new Error('away')
        return requests.map(String)
      }
      const next = async () => {
        answers.shift()?.()
        await settle()
      }
      return { ...open(maxSize, send, true), next }
    }

    it('sends one batch at a time, and everything that was asked for meanwhile in the next', async () => {
      const { batch, sent, next } = openInTurn(100)
      const asked: Promise<string>[] = []
      for (let request = 1; request <= 5; request++) {
        asked.push(batch.ask(request))
        await settle()
      }
      expect(sent).toEqual([[1]])
      await next()
      expect(sent).toEqual([[1], [2, 3, 4, 5]])
      await next()
      expect(await Promise.all(asked)).toEqual(['1', '2', '3', '4', '5'])
      asked.push(batch.ask(6))
      await settle()
      expect(sent.at(-1), 'nobody before it').toEqual([6])
      await next()
    })

    it('keeps to the largest size, also with what has gathered', async () => {
      const { batch, sent, next } = openInTurn(3)
      const asked = Array.from({ length: 8 }, (_, at) => batch.ask(at))
      await settle()
      expect(sent).toEqual([[0, 1, 2]])
      for (let i = 0; i < 3; i++) await next()
      expect(sent).toEqual([
        [0, 1, 2],
        [3, 4, 5],
        [6, 7],
      ])
      expect(await Promise.all(asked)).toHaveLength(8)
    })

    it('a batch that had to wait leaves as if from where its first request was made', async () => {
      const storage = new AsyncLocalStorage<string>()
      const left: (string | undefined)[] = []
      const answers: (() => void)[] = []
      const batch = new TickBatch<number, number>({
        when: (leave) => clock.endOfTick(leave),
        maxSize: 100,
        inTurn: true,
        bind: (act) => AsyncResource.bind(act),
        send: async (requests) => {
          left.push(storage.getStore())
          await new Promise<void>((resolve) => answers.push(resolve))
          return requests
        },
      })
      const asked: Promise<number>[] = []
      for (const caller of ['a', 'b', 'c']) {
        await storage.run(caller, async () => {
          asked.push(batch.ask(1))
          await settle()
        })
      }
      for (let answer = 0; answer < 2; answer++) {
        answers[answer]?.()
        await settle()
      }
      expect(await Promise.all(asked)).toHaveLength(3)
      expect(left).toEqual(['a', 'b'])
    })

    it('goes on after a batch that failed', async () => {
      const { batch, next } = openInTurn(100)
      const failing = batch.ask(-1)
      await settle()
      const waiting = batch.ask(2)
      const outcome = failing.catch((error) => error.message)
      await next()
      expect(await outcome).toBe('away')
      await next()
      expect(await waiting).toBe('2')
    })
  })
})
