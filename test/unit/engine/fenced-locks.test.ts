import { describe, expect, it } from 'vitest'
import { MemoryLockHints } from '../../../src/adapters/memory/lock-hints.js'
import { isCorralError, LockLostError, SourceError } from '../../../src/core/errors.js'
import type { CorralEvent } from '../../../src/core/events.js'
import type { LockHints, LockTokens } from '../../../src/core/lock-ports.js'
import { FencedLocks, type HeldToken } from '../../../src/engine/fenced-locks.js'
import { deferred } from '../../support/deferred.js'
import { ManualClock } from '../../support/manual-clock.js'
import { seededChance } from '../../support/seeded-chance.js'

const TIMES = { ttlMs: 3_000, waitMs: 1_000 }

/** Tokens as the database issues them, and a switch that takes it away. */
class Tokens implements LockTokens {
  isUp = true
  newest = 0
  unreleased = 0

  async issue() {
    if (!this.isUp) throw new SourceError('issuing a lock token', new Error('no connection'))
    this.unreleased++
    return { token: String(++this.newest), others: this.unreleased - 1 }
  }

  async release(_name: string, token: string) {
    if (!this.isUp) throw new Error('no connection')
    this.unreleased = token === String(this.newest) ? 0 : Math.max(0, this.unreleased - 1)
  }
}

function lab() {
  const clock = new ManualClock()
  const tokens = new Tokens()
  const hints = new MemoryLockHints(clock)
  const events: CorralEvent[] = []
  let seed = 0
  /** One process; its way to the hints can be another one. */
  const join = (own: LockHints = hints) =>
    new FencedLocks({
      ...{ tokens, clock },
      hints: own,
      chance: seededChance(++seed),
      deadlineMs: 50,
      emit: (event) => events.push(event),
    })
  const states = () => events.map((event) => (event.type === 'lock' ? event.state : event.type))
  return { clock, tokens, hints, events, states, join }
}

/** Holds the lock until told to let go. */
function hold(locks: FencedLocks, name = 'order', times = TIMES) {
  const end = deferred<void>()
  const start = deferred<HeldToken>()
  const done = locks.run(name, times, async (held) => {
    start.resolve(held)
    await end.promise
    return held.token
  })
  done.catch(() => {})
  return { held: start.promise, end: () => end.resolve(), done }
}

describe('FencedLocks', () => {
  it('lets one in at a time, and the next one as soon as the first has let go', async () => {
    const { clock, events, join, states } = lab()
    const first = hold(join())
    await first.held
    const second = hold(join())
    await clock.advance(500)
    expect(states()).toEqual(['acquired'])
    first.end()
    await clock.advance(50)
    expect((await second.held).token).toBe('2')
    expect(states()).toEqual(['acquired', 'released', 'acquired'])
    expect(events.at(-1)).toMatchObject({ others: 0 })
    second.end()
    expect(await second.done).toBe('2')
  })

  it('says how many it holds', async () => {
    const { clock, join } = lab()
    const locks = join()
    const [one, other] = [hold(locks, 'a'), hold(locks, 'b')]
    await Promise.all([one.held, other.held])
    expect(locks.held).toBe(2)
    one.end()
    await one.done
    await clock.advance(0)
    expect(locks.held).toBe(1)
  })

  it('holds locks of other names apart', async () => {
    const { clock, join } = lab()
    hold(join(), 'a')
    const other = hold(join(), 'b')
    await clock.advance(0)
    expect((await other.held).token).toBe('2')
  })

  it('gives up after waitMs without running the work', async () => {
    const { clock, join, states, tokens } = lab()
    hold(join())
    await clock.advance(0)
    const late = hold(join())
    const failed = late.done.catch((error) => error)
    await clock.advance(1_100)
    expect(isCorralError(await failed, 'LOCK_BUSY')).toBe(true)
    expect(states()).toEqual(['acquired', 'busy'])
    expect(tokens.newest).toBe(1)
  })

  it('lets nobody in who still waits when its process closes, though the hints go with that', async () => {
    const { clock, hints, join, tokens } = lab()
    hold(join())
    await clock.advance(0)
    let isUp = true
    const closing = join({
      ...{ renew: (...call) => hints.renew(...call), release: (...call) => hints.release(...call) },
      take: (...call) => (isUp ? hints.take(...call) : Promise.reject(new Error('the connection is closed'))),
    })
    const waiting = hold(closing)
    let refusal: unknown
    waiting.done.catch((error) => {
      refusal = error
    })
    await clock.advance(100)
    closing.close()
    isUp = false
    await clock.advance(100)
    expect(isCorralError(refusal, 'CLOSED')).toBe(true)
    expect(tokens.newest, 'nobody else was given one').toBe(1)
  })

  it('is free for the next one when a process closes whose request for it was on its way', async () => {
    const { clock, hints, join } = lab()
    const answered = deferred<void>()
    const closing = join({
      ...{ renew: (...call) => hints.renew(...call), release: (...call) => hints.release(...call) },
      take: async (...call) => {
        const taken = await hints.take(...call)
        await answered.promise
        return taken
      },
    })
    const refused = hold(closing).done.catch((error) => error)
    closing.close()
    answered.resolve()
    expect(isCorralError(await refused, 'CLOSED')).toBe(true)
    const next = hold(join(), 'order', { ...TIMES, waitMs: 0 })
    await clock.advance(0)
    expect((await next.held).token).toBe('1')
  })

  it('stays with a holder who takes longer than the ttl, by renewing', async () => {
    const { clock, join } = lab()
    const first = hold(join())
    const { signal } = await first.held
    await clock.advance(10 * TIMES.ttlMs)
    const failed = hold(join(), 'order', { ...TIMES, waitMs: 0 }).done.catch((error) => error)
    await clock.advance(0)
    expect(isCorralError(await failed, 'LOCK_BUSY')).toBe(true)
    expect(signal.aborted).toBe(false)
  })

  it('passes over a holder who is paused; who learns of it when it wakes, and of whom the next one is told', async () => {
    const { clock, join, events, hints } = lab()
    let isPaused = false
    const paused: LockHints = {
      take: (...call) => hints.take(...call),
      release: (...call) => hints.release(...call),
      renew: async (...call) => (isPaused ? new Promise<never>(() => {}) : hints.renew(...call)),
    }
    const first = hold(join(paused))
    const { signal } = await first.held
    isPaused = true
    await clock.advance(TIMES.ttlMs + 100)
    const second = hold(join())
    await clock.advance(0)
    expect((await second.held).token).toBe('2')
    expect(events.findLast((event) => event.type === 'lock' && event.state === 'acquired')).toMatchObject({ others: 1 })
    isPaused = false
    await clock.advance(TIMES.ttlMs)
    expect(isCorralError(signal.reason, 'LOCK_LOST')).toBe(true)
    // What the first one had is gone; the second one's hint is untouched by its release.
    first.end()
    await first.done
    const failed = hold(join(), 'order', { ...TIMES, waitMs: 0 }).done.catch((error) => error)
    await clock.advance(0)
    expect(isCorralError(await failed, 'LOCK_BUSY')).toBe(true)
  })

  it('goes on without the hints: nobody is kept away, and each has a token of its own', async () => {
    const { clock, join, events } = lab()
    const silent: LockHints = {
      take: () => new Promise(() => {}),
      renew: () => Promise.reject(new Error('gone')),
      release: () => Promise.reject(new Error('gone')),
    }
    const first = hold(join(silent))
    const second = hold(join(silent))
    await clock.advance(60)
    expect([(await first.held).token, (await second.held).token]).toEqual(['1', '2'])
    expect(events).toMatchObject([
      { state: 'acquired', hint: 'unavailable', others: 0 },
      { state: 'acquired', hint: 'unavailable', others: 1 },
    ])
    first.end()
    second.end()
    await clock.advance(200)
    expect([await first.done, await second.done]).toEqual(['1', '2'])
  })

  it('does not run the work without a token, and keeps nobody waiting for it', async () => {
    const { join, tokens } = lab()
    tokens.isUp = false
    let ran = false
    const refused = join().run('order', TIMES, async () => {
      ran = true
    })
    expect(isCorralError(await refused.catch((error) => error), 'SOURCE_FAILED')).toBe(true)
    expect(ran).toBe(false)
    tokens.isUp = true
    expect(await join().run('order', { ...TIMES, waitMs: 0 }, async ({ token }) => token)).toBe('1')
  })

  it('passes on what the work throws, and says when that was a refusal', async () => {
    const { join, states } = lab()
    const failure = new Error('no stock')
    await expect(join().run('order', TIMES, () => Promise.reject(failure))).rejects.toBe(failure)
    await expect(join().run('order', TIMES, () => Promise.reject(new LockLostError('order', '1')))).rejects.toThrow()
    expect(states()).toEqual(['acquired', 'released', 'acquired', 'refused', 'released'])
  })

  it('returns what the work returned although the release fails', async () => {
    const { join, tokens } = lab()
    const value = await join().run('order', TIMES, async () => {
      tokens.isUp = false
      return 'done'
    })
    expect(value).toBe('done')
  })
})
