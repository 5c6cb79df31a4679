import { describe, expect, it } from 'vitest'
import { ABLATIONS } from './ablations.js'
import { type Counterexample, explore } from './explore.js'
import { RULES, type RuleName, rulesWithout } from './rules.js'
import type { Scope } from './scope.js'
import { SCOPES } from './scopes.js'
import { tellStory } from './story.js'
import { systemOf } from './system.js'

const MINUTE_MS = 60_000

/**
 * How many states each scope has. A number that changes says that the model has; one that falls may say that a part of it is
 * not reached any more.
 */
const STATES: Readonly<Record<keyof typeof SCOPES, number>> = {
  rows: 2_427,
  absences: 73_223,
  writers: 11_852,
  crashes: 7_207,
  pending: 29_808,
  doubts: 7_278,
  failover: 27_824,
  near: 44_493,
  unstamped: 5_777,
  copies: 58_734,
  refreshes: 12_892,
  triggers: 300,
  joiners: 6_503,
  standby: 13_018,
  'standby, evicted': 1_743,
  'standby, entries': 1_041,
  epochs: 27_725,
  sessions: 23_105,
}

describe('the whole protocol', () => {
  it.each(Object.entries(SCOPES))(
    'is in order in every order of events: %s',
    (name, scope: Scope) => {
      const { states, atRest, counterexample } = explore(systemOf({ scope, rules: rulesWithout() }))
      expect(counterexample && tellStory(counterexample)).toBeUndefined()
      expect(states).toBe(STATES[name as keyof typeof SCOPES])
      expect(atRest, 'states in which everything is compared').toBeGreaterThan(10)
    },
    MINUTE_MS,
  )
})

describe('breaks', () => {
  it.each(Object.entries(RULES))(
    'unless %s',
    (name) => {
      const { steps } = breakWithout(name as RuleName)
      expect(steps.length).toBeGreaterThan(4)
    },
    MINUTE_MS,
  )

  it('in the fewest steps, told as a story', () => {
    expect(`\n${tellStory(breakWithout('fillNeedsItsLease'))}\n`).toMatchInlineSnapshot(`
      "
         1  p1 begins to read, and looks
         2  p1 is told that nothing is cached
         3  p1 takes the lease of the entry
         4  p1 loads version 1
         5  p1 gets what it has loaded, and sends it to the cache
         6  p2 commits version 2
         7  p2 is told that its COMMIT is done, and reads its own write from now on
         8  the cache fences the entry up to version 2 for p2: dropped
         9  the guard of the entry is evicted
        10  the cache receives version 1 from p1 for the entry: filled
        =>  at rest, the entry says version 1, and the database version 2
      "
    `)
    expect(`\n${tellStory(breakWithout('relay'))}\n`).toMatchInlineSnapshot(`
      "
         1  p1 begins to read, and looks
         2  p1 is told that nothing is cached
         3  p1 takes the lease of the entry
         4  p1 loads version 1
         5  p1 gets what it has loaded, and sends it to the cache
         6  the cache receives version 1 from p1 for the entry: filled
         7  SQL from outside commits version 2
        =>  at rest, the entry says version 1, and the database version 2
      "
    `)
  })
})

function breakWithout(rule: RuleName): Counterexample {
  const { scope: name, behind } = ABLATIONS[rule]
  const scope = SCOPES[name]
  const taken = behind === undefined ? [] : [behind]
  if (behind !== undefined) {
    const { counterexample } = explore(systemOf({ scope, rules: rulesWithout(behind) }))
    expect(counterexample, `without ${behind} alone`).toBeUndefined()
  }
  const { counterexample } = explore(systemOf({ scope, rules: rulesWithout(rule, ...taken) }))
  if (counterexample === undefined) throw new Error(`nothing breaks without ${rule}`)
  return counterexample
}
