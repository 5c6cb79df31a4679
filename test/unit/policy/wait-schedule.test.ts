import { describe, expect, it } from 'vitest'
import { seededChance } from '../../../bench/simulator/seeded-chance.js'
import type { Chance } from '../../../src/core/clock.js'
import { nextPollMs, type Wait } from '../../../src/policy/wait-schedule.js'

const FAR_MS = 60_000

/** When a waiter polls, from the start of its wait on. */
function pollTimes(wait: Partial<Wait>, chance: Chance, untilMs = Number.POSITIVE_INFINITY): number[] {
  const times: number[] = []
  const leaseMs = wait.leaseRemainingMs ?? FAR_MS
  let waitedMs = 0
  while (waitedMs < untilMs) {
    const leaseRemainingMs = Math.max(0, leaseMs - waitedMs)
    const at = { soonestMs: 0, limitMs: FAR_MS, ...wait, polls: times.length, waitedMs, leaseRemainingMs }
    const pauseMs = nextPollMs(at, chance)
    if (pauseMs === undefined) break
    waitedMs += pauseMs
    times.push(waitedMs)
  }
  return times
}

/** How much too late 2,000 waiters notice loads of about 50 ms, and how often they ask. */
function notice(soonestMs: number, loadMs: (chance: Chance) => number): { p99Ms: number; meanPolls: number } {
  const chance = seededChance(5)
  const late: number[] = []
  let polls = 0
  for (let i = 0; i < 2_000; i++) {
    const doneMs = loadMs(chance)
    const times = pollTimes({ soonestMs }, chance, doneMs)
    polls += times.length
    late.push(times.at(-1)! - doneMs)
  }
  late.sort((a, b) => a - b)
  return { p99Ms: late[Math.floor(late.length * 0.99)]!, meanPolls: polls / late.length }
}

describe('nextPollMs', () => {
  it('notices a load of 50 ms within 10 ms in 99 of 100 waits', () => {
    const steady = notice(50, (chance) => 50 + 3 * chance.number())
    expect(steady.p99Ms).toBeLessThan(4)
    expect(steady.meanPolls).toBeLessThan(2)

    const spread = notice(36, (chance) => 36 + 34 * chance.number())
    expect(spread.p99Ms).toBeLessThan(10)
    expect(spread.meanPolls).toBeLessThan(9)

    const unknown = notice(0, (chance) => 40 + 20 * chance.number())
    expect(unknown.p99Ms).toBeLessThan(8)
    expect(unknown.meanPolls).toBeLessThan(15)
  })

  it('asks for the first time just after the soonest end of the load, or at once when that is unknown', () => {
    const chance = seededChance(1)
    for (let i = 0; i < 100; i++) {
      expect(pollTimes({ soonestMs: 120 }, chance, 1)[0]).toSatisfy((ms: number) => ms > 121 && ms <= 122)
      expect(pollTimes({}, chance, 1)[0]).toBe(2)
    }
  })

  it('asks ever less often, at least each eighth of the wait and each 100 ms', () => {
    const times = pollTimes({}, { number: () => 0, token: () => '' }, 3_000)
    const gaps = times.map((time, i) => time - (times[i - 1] ?? 0))
    for (let i = 1; i < gaps.length; i++) {
      expect(gaps[i]).toBeGreaterThanOrEqual(gaps[i - 1]!)
      expect(gaps[i]).toBeLessThanOrEqual(Math.max(4, Math.ceil(times[i - 1]! / 8)))
    }
    expect(gaps.at(-1)).toBe(100)
    expect(times.length).toBeLessThan(60)
  })

  it('asks right behind the end of the lease, so that a dead holder costs one lease period', () => {
    const times = pollTimes({ soonestMs: 400, leaseRemainingMs: 150 }, seededChance(2))
    expect(times[0]).toBe(151)
    const late = pollTimes({ leaseRemainingMs: 1_000 }, seededChance(2))
    expect(late).toContain(1_001)
  })

  it('asks for the last time on the limit, and then no more', () => {
    const times = pollTimes({ soonestMs: 50, limitMs: 250 }, seededChance(3))
    expect(times.at(-1)).toBe(250)
    expect(
      nextPollMs({ polls: 9, waitedMs: 250, soonestMs: 50, leaseRemainingMs: 9, limitMs: 250 }, seededChance(3)),
    ).toBe(undefined)
  })

  it('asks out of step with other waiters', () => {
    const chance = seededChance(4)
    const thirteenth = Array.from({ length: 50 }, () => pollTimes({}, chance, 400)[12])
    expect(new Set(thirteenth).size).toBeGreaterThan(4)
  })
})
