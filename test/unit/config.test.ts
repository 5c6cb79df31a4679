import { describe, expect, it } from 'vitest'
import { checkNamespace, checkNumber, DEFAULTS, type OptionGroups, resolveSettings } from '../../src/config.js'
import { refuseUnknown } from '../../src/core/known-options.js'
import { refusalOf } from '../support/refusal.js'

const groups = Object.entries(DEFAULTS) as [keyof typeof DEFAULTS, Record<string, number>][]
const leaves = groups.flatMap(([group, defaults]) => Object.keys(defaults).map((leaf) => [group, leaf] as const))

describe('options', () => {
  it('have defaults that pass their own checks', () => {
    expect(resolveSettings({})).toEqual(DEFAULTS)
    expect(resolveSettings(DEFAULTS)).toEqual(DEFAULTS)
  })

  it('are resolved once and frozen', () => {
    const settings = resolveSettings({ ttl: { freshMs: 1_000 } })
    expect(settings.ttl).toEqual({ ...DEFAULTS.ttl, freshMs: 1_000 })
    expect(Object.isFrozen(settings)).toBe(true)
    for (const group of Object.values(settings)) expect(Object.isFrozen(group)).toBe(true)
    expect(Object.isFrozen(DEFAULTS.ttl)).toBe(true)
  })

  it('may be overridden again, leaf by leaf', () => {
    const base = resolveSettings({ ttl: { freshMs: 1_000, graceMs: 5 } })
    expect(resolveSettings({ ttl: { freshMs: 2_000 } }, base).ttl).toEqual({
      ...DEFAULTS.ttl,
      freshMs: 2_000,
      graceMs: 5,
    })
  })

  it('that are undefined count as not given', () => {
    const given = { ttl: undefined, load: { concurrency: undefined } } as unknown as OptionGroups
    expect(resolveSettings(given)).toEqual(DEFAULTS)
  })

  it.each(leaves)(
    '%s.%s: refuses what is no number or out of range, and names option, expected and found',
    (group, leaf) => {
      for (const [value, found] of [
        [-1, 'number -1'],
        [Number.NaN, 'number NaN'],
        [Number.POSITIVE_INFINITY, 'number Infinity'],
        ['5 min', '"5 min"'],
        [null, 'null'],
        [5n, 'bigint 5'],
        [[], 'an array of 0'],
        [{}, 'an object (Object)'],
        [() => 5, 'a function'],
      ] as const) {
        const message = refusalOf(() => resolveSettings({ [group]: { [leaf]: value } } as never))
        expect(message).toContain(`option \`${group}.${leaf}\``)
        expect(message).toMatch(/expected a( whole)? number from \d/)
        expect(message).toContain(`found ${found}`)
      }
    },
  )

  it.each(leaves)('%s.%s: has a range, with its default in it', (group, leaf) => {
    const value = (DEFAULTS[group] as Record<string, number>)[leaf] as number
    expect(checkNumber(`${group}.${leaf}`, value)).toBe(value)
    expect(() => checkNumber(`${group}.${leaf}`, Number.MAX_SAFE_INTEGER)).toThrow('expected')
  })

  it.each(['load.concurrency', 'load.queue', 'cache.breakerFailures', 'cache.maxFloors', 'l1.maxEntries'])(
    '%s: is a whole number',
    (path) => {
      expect(refusalOf(() => checkNumber(path, 1.5))).toContain('a whole number')
    },
  )

  it('are refused when unknown, with the ones there are', () => {
    expect(refusalOf(() => resolveSettings({ ttl: { freshMS: 5 } } as never))).toBe(
      'option `ttl.freshMS`: expected one of `freshMs`, `jitter`, `absentMs`, `graceMs`, found unknown option freshMS',
    )
    expect(refusalOf(() => refuseUnknown('', { reddis: 1 }, ['db', 'redis']))).toContain('option `reddis`')
    expect(refusalOf(() => resolveSettings({ ttl: 5 } as never))).toContain(
      'option `ttl`: expected an object of options',
    )
    expect(refusalOf(() => resolveSettings({ ttl: null } as never))).toContain('found null')
  })

  it('are held against each other', () => {
    expect(refusalOf(() => resolveSettings({ lease: { minMs: 6_000 } }))).toBe(
      'option `lease.minMs`: expected at most lease.maxMs (5000), found number 6000',
    )
    expect(refusalOf(() => resolveSettings({ cache: { fenceMs: 5_000 } }))).toBe(
      'option `cache.fenceMs`: expected more than lease.maxMs (5000), found number 5000',
    )
    expect(refusalOf(() => resolveSettings({ bus: { heartbeatMs: 3_000 } }))).toBe(
      'option `bus.trustMs`: expected more than bus.heartbeatMs (3000), found number 3000',
    )
  })

  it('never print more of what was found than it takes to find it', () => {
    const message = refusalOf(() => checkNamespace('x'.repeat(500)))
    expect(message.length).toBeLessThan(200)
    expect(message).toContain('…')
  })
})

describe('namespace', () => {
  it.each(['shop', 'a', 'x'.repeat(64), 'Shop_1.prod-eu'])('%s is one', (namespace) => {
    expect(() => checkNamespace(namespace)).not.toThrow()
  })

  it.each(['', 'x'.repeat(65), 'a:b', '{a}', 'a b', 'é', 'a\n', undefined, null, 5, {}])('%s is none', (namespace) => {
    expect(refusalOf(() => checkNamespace(namespace))).toContain('option `namespace`: expected 1 to 64 letters')
  })
})
