import { describe, expect, it } from 'vitest'
import { type CacheKey, cacheKey, type KeyKind, keyPrefix } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { Floors } from '../../../src/engine/floors.js'
import { Invalidation } from '../../../src/engine/invalidation.js'
import { Singleflight } from '../../../src/engine/singleflight.js'

function open() {
  const floors = new Floors(100)
  const flights = new Singleflight<unknown>()
  const invalidation = new Invalidation({ floors, flights })
  const heard: string[] = []
  const register = (name: string, prefix: string) =>
    invalidation.register({
      prefix,
      forget: (key, { version }) => void heard.push(`${name} ${key.slice(prefix.length)} ${version}`),
      clear: () => void heard.push(`${name} everything`),
    })
  return { floors, flights, invalidation, heard, register }
}

function change(key: string, version: string | null = '5', more: { absent?: boolean; hasFloor?: boolean } = {}) {
  return { key: key as CacheKey, version: version as Version | null, absent: false, hasFloor: true, ...more }
}

describe('Invalidation', () => {
  it('tells of changes that may be older than an absence this process has seen for itself', () => {
    const { floors, invalidation } = open()
    const row = change('shop:{public.products/1}')
    floors.seeAbsence(row.key)
    invalidation.apply(row)
    expect(floors.get(row.key)).toEqual({ version: '5', absent: false, isUnordered: true })
  })

  it('tells those who may hold a copy under the key, and nobody else', () => {
    const { invalidation, heard, register } = open()
    const prefixes: [string, KeyKind, string, string?][] = [
      ['rows', 'row', 'public.products'],
      ['other rows', 'row', 'public.products2'],
      ['rows of a table that is named like a start', 'row', 'public.prod'],
      ['slugs', 'lookup', 'public.products', 'slug'],
      ['slugs of another column', 'lookup', 'public.products', 'slug2'],
      ['results', 'query', 'public.products'],
    ]
    for (const [name, kind, entity, column] of prefixes) register(name, keyPrefix('shop', kind, entity, column))
    register('another namespace', keyPrefix('shop2', 'row', 'public.products'))
    register('rows, again', keyPrefix('shop', 'row', 'public.products'))

    invalidation.apply(change(cacheKey(keyPrefix('shop', 'row', 'public.products'), ['42'])))
    expect(heard.splice(0)).toEqual(['rows 42} 5', 'rows, again 42} 5'])
    invalidation.apply(change(cacheKey(keyPrefix('shop', 'lookup', 'public.products', 'slug'), ['tea']), null))
    expect(heard.splice(0)).toEqual(['slugs tea} null'])
    invalidation.apply(change(cacheKey(keyPrefix('shop', 'query', 'public.products'), ['x'])))
    expect(heard.splice(0)).toEqual(['results x} 5'])
    invalidation.apply(change(cacheKey(keyPrefix('shop', 'row', 'unknown'), ['42'])))
    invalidation.apply(change('nothing like a key'))
    invalidation.apply(change(''))
    expect(heard).toEqual([])
  })

  it('reaches entities whose names hold the marks of other kinds', () => {
    const { invalidation, heard, register } = open()
    const prefix = keyPrefix('shop', 'row', 'public.a/b@c?d#e')
    register('odd', prefix)
    invalidation.apply(change(cacheKey(prefix, ['a/b@c'])))
    expect(heard).toEqual([`odd ${cacheKey('', ['a/b@c'])} 5`])
  })

  it('raises the floor of a row, forward only, and none for what has no version or no floor', () => {
    const { invalidation, floors } = open()
    invalidation.apply(change('k', '5'))
    invalidation.apply(change('k', '4'))
    expect(floors.get('k' as CacheKey)).toEqual({ version: '5', absent: false })
    invalidation.apply(change('k', '6', { absent: true }))
    expect(floors.get('k' as CacheKey)).toEqual({ version: '6', absent: true })
    invalidation.apply(change('k', null))
    invalidation.apply(change('lookup', '5', { hasFloor: false }))
    expect(floors.get('k' as CacheKey)).toEqual({ version: '6', absent: true })
    expect(floors.get('lookup' as CacheKey)).toBeUndefined()
  })

  it('lets nobody join a fill that began before', async () => {
    const { invalidation, flights } = open()
    const flight = flights.start('k' as CacheKey, async () => 'old')
    invalidation.apply(change('other'))
    expect(flights.current('k' as CacheKey)).toBe(flight)
    invalidation.apply(change('k', null, { hasFloor: false }))
    expect(flights.current('k' as CacheKey)).toBeUndefined()
    expect(await flight.value).toBe('old')
  })

  it('a flush reaches everybody; floors stay', () => {
    const { invalidation, heard, register, floors } = open()
    register('rows', keyPrefix('shop', 'row', 'a'))
    register('slugs', keyPrefix('shop', 'lookup', 'a', 'slug'))
    invalidation.apply(change('k'))
    invalidation.flush()
    expect(heard).toEqual(['rows everything', 'slugs everything'])
    expect(floors.get('k' as CacheKey)?.version).toBe('5')
  })
})
