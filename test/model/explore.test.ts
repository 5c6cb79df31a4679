import { describe, expect, it } from 'vitest'
import { explore, type Move, type System } from './explore.js'

/** Numbers that can be raised by one or doubled. */
function numbers(options: {
  readonly broken?: (to: number) => string | undefined
  readonly faultAtRest?: (state: number) => string | undefined
}): System<number> {
  const move = (tell: string, to: number): Move<number> => {
    const broken = options.broken?.(to)
    return { tell: () => tell, to, kind: 'work', broken }
  }
  return {
    initial: 1,
    moves: (state) => (state >= 20 ? [] : [move('add 1', state + 1), move('double', state * 2)]),
    encode: String,
    faultAtRest: options.faultAtRest ?? (() => undefined),
  }
}

describe('explore', () => {
  it('visits every state once, and says how many were at rest', () => {
    const { states, atRest, counterexample } = explore(numbers({}))
    expect({ states, atRest, counterexample }).toEqual({ states: 29, atRest: 10, counterexample: undefined })
  })

  it('finds the shortest way to what is broken', () => {
    const { counterexample } = explore(numbers({ broken: (to) => (to === 12 ? 'a dozen' : undefined) }))
    expect(counterexample).toEqual({ steps: ['add 1', 'add 1', 'double', 'double'], broken: 'a dozen' })
  })

  it('finds what is wrong at rest, where only choices are left', () => {
    const system = numbers({ faultAtRest: (state) => (state === 3 ? 'an odd one' : undefined) })
    const withChoices: System<number> = {
      ...system,
      moves: (state) => (state === 3 ? [{ tell: () => 'go on', to: 4, kind: 'choice' }] : system.moves(state)),
    }
    expect(explore(withChoices).counterexample).toEqual({ steps: ['add 1', 'add 1'], broken: 'an odd one' })
    expect(explore(system).counterexample, 'work is left').toBeUndefined()
  })

  it('sees a move that breaks something and leads back to a state in order', () => {
    const system: System<number> = {
      initial: 0,
      moves: () => [{ tell: () => 'turn round', to: 0, kind: 'work', broken: 'it turned' }],
      encode: String,
      faultAtRest: () => undefined,
    }
    expect(explore(system).counterexample).toEqual({ steps: ['turn round'], broken: 'it turned' })
  })

  it('refuses to stop half way', () => {
    expect(() => explore(numbers({}), 10)).toThrow('more than 10 states')
  })
})
