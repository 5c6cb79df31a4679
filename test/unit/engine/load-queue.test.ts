import { describe, expect, it } from 'vitest'
import { isCorralError } from '../../../src/core/errors.js'
import { LoadGate } from '../../../src/engine/load-gate.js'
import { LoadQueue } from '../../../src/engine/load-queue.js'
import { ManualClock } from '../../support/manual-clock.js'

function open({ concurrency = 1, queue = 100, queueMs = 1_000, maxIds = 1_000, isNamed = false } = {}) {
  const clock = new ManualClock()
  const statements: number[][] = []
  const gate = new LoadGate({ clock, concurrency, queue, queueMs })
  const loads = new LoadQueue<number, string>({
    entity: 'products',
    clock,
    gate,
    maxIds,
    ...(isNamed ? { nameOf: String } : {}),
    load: async (ids) => {
      statements.push([...ids])
      if (ids.includes(-2)) await new Promise(() => {})
      await clock.sleep(50)
      if (ids.includes(-1)) throw new Error('the statement failed')
      return ids.map((id) => `row ${id}`)
    },
  })
  return { clock, statements, loads }
}

describe('LoadQueue', () => {
  it('loads what one tick asks for in one statement, and answers each with its own', async () => {
    const { clock, statements, loads } = open()
    const answers = Promise.all([3, 1, 2].map((id) => loads.ask(id)))
    await clock.advance(50)
    expect(await answers).toEqual(['row 3', 'row 1', 'row 2'])
    expect(statements).toEqual([[3, 1, 2]])
  })

  it('lets all that comes while the gate is full wait together: the next free place takes all of it', async () => {
    const { clock, statements, loads } = open({ concurrency: 1 })
    const answers = [loads.ask(0)]
    for (let id = 1; id <= 20; id++) {
      await clock.advance(2)
      answers.push(loads.ask(id))
    }
    await clock.advance(100)
    expect(await Promise.all(answers)).toHaveLength(21)
    expect(statements).toEqual([[0], Array.from({ length: 20 }, (_, at) => at + 1)])
  })

  it('asks for no more than fits one statement, and runs as many as the gate allows', async () => {
    const { clock, statements, loads } = open({ concurrency: 2, maxIds: 10 })
    const answers = Promise.all(Array.from({ length: 25 }, (_, id) => loads.ask(id)))
    await clock.advance(49)
    expect(statements.map((ids) => ids.length)).toEqual([10, 10])
    await clock.advance(100)
    expect(await answers).toHaveLength(25)
    expect(statements.map((ids) => ids.length)).toEqual([10, 10, 5])
  })

  it('does not load an id beside itself: who asks for it meanwhile has the next statement, once for all of them', async () => {
    const { clock, statements, loads } = open({ concurrency: 8, isNamed: true })
    const answered: string[] = []
    const ask = (id: number, who: string) => void loads.ask(id).then((row) => answered.push(`${who}: ${row}`))
    ask(1, 'first')
    ask(1, 'beside it')
    for (let more = 0; more < 4; more++) {
      await clock.advance(10)
      ask(1, `later ${more}`)
      ask(100 + more, 'another')
    }
    expect(
      statements.filter((ids) => ids.includes(1)),
      'others do not wait',
    ).toEqual([[1]])
    expect(statements).toHaveLength(4)
    await clock.advance(10)
    expect(answered.filter((answer) => answer.endsWith('row 1'))).toEqual(['first: row 1', 'beside it: row 1'])
    expect(statements.at(-1)).toEqual([1])
    await clock.advance(50)
    expect(answered.filter((answer) => answer.startsWith('later'))).toHaveLength(4)
    expect(statements.filter((ids) => ids.includes(1))).toEqual([[1], [1]])
    expect(clock.timers, 'nothing is left').toBe(0)
  })

  it('loads what waited behind a statement that failed', async () => {
    const { clock, statements, loads } = open({ concurrency: 8, isNamed: true })
    const failing = loads.ask(-1).catch(() => 'failed')
    await clock.advance(10)
    const next = loads.ask(-1).catch(() => 'failed again')
    await clock.advance(100)
    expect([await failing, await next]).toEqual(['failed', 'failed again'])
    expect(statements).toEqual([[-1], [-1]])
  })

  it('waits for a statement that is never answered for a second, and nobody waits for it after that', async () => {
    const { clock, statements, loads } = open({ concurrency: 8, isNamed: true })
    void loads.ask(-2)
    await clock.advance(10)
    void loads.ask(-2)
    await clock.advance(999)
    expect(statements).toHaveLength(1)
    await clock.advance(1)
    expect(statements, 'a second after somebody asked').toHaveLength(2)
  })

  it('fails those whose statement failed, and nobody else', async () => {
    const { clock, loads } = open()
    const failing = Promise.allSettled([loads.ask(-1), loads.ask(1)])
    await clock.advance(10)
    const next = loads.ask(2)
    await clock.advance(100)
    expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await next).toBe('row 2')
  })

  it('refuses what the gate cannot take, and everybody whose turn does not come', async () => {
    const { clock, loads } = open({ queue: 1, maxIds: 2, queueMs: 20 })
    const running = loads.ask(0)
    await clock.advance(1)
    const waiting = Promise.allSettled([loads.ask(1), loads.ask(2)])
    await expect(loads.ask(3)).rejects.toSatisfy((error) => isCorralError(error, 'OVERLOADED'))
    await clock.advance(21)
    for (const outcome of await waiting) {
      expect(outcome.status === 'rejected' && isCorralError(outcome.reason, 'OVERLOADED')).toBe(true)
    }
    await clock.advance(50)
    expect(await running).toBe('row 0')
    const after = loads.ask(4)
    await clock.advance(50)
    expect(await after).toBe('row 4')
  })
})
