import { describe, expect, it } from 'vitest'
import { envelope } from '../../../src/adapters/codec/envelope.js'
import { cacheKey, copyKey, guardKey, keyPrefix } from '../../../src/core/key.js'
import { WIRE } from '../../../src/core/wire.js'
import { findStoredCopies } from '../../../src/testing/stored-copies.js'
import { newEntry } from '../../contract/store-lab.js'

const FILLED_AT = `${WIRE.magic}1795207238000`

function stored(kind: 'row' | 'absent' | 'lookup', version?: string, epoch = '00000000'): Buffer {
  const sealed = envelope.seal({ ...newEntry(kind, version, 'x'), epoch })
  return Buffer.concat([Buffer.from(FILLED_AT), sealed])
}

/** A node that pages through its keys two at a time, and tells of some of them twice. */
function node(values: Record<string, Buffer>) {
  const matching = (pattern: string) => {
    const regexp = new RegExp(`^${pattern.replaceAll(/[.{}/@#]/g, '\\$&').replaceAll('*', '.*')}$`)
    return Object.keys(values).filter((key) => regexp.test(key))
  }
  return {
    async scan(cursor: string, _: 'MATCH', pattern: string): Promise<[string, string[]]> {
      const keys = matching(pattern)
      const at = Number(cursor)
      const page = [...keys.slice(at, at + 2), ...keys.slice(0, 1)]
      return [at + 2 < keys.length ? String(at + 2) : '0', page]
    },
    getBuffer: async (key: string) => values[key] ?? null,
  }
}

const row = (...id: string[]) => cacheKey(keyPrefix('shop', 'row', 'public.products'), id)

describe('findStoredCopies', () => {
  it('finds rows, absences, copies and lookups, each with the id it is of', async () => {
    const odd = row('a,b/c:d{e}', 'ü %')
    const copy = copyKey(row('42'), ':slot0.3')
    const lookup = cacheKey(keyPrefix('shop', 'lookup', 'public.products', 'shop,sku'), ['3', 'a,b'])
    const { copies, unread } = await findStoredCopies(
      node({
        [row('42')]: stored('row', '7'),
        [guardKey(row('42'))]: Buffer.from('a hash'),
        [copy]: stored('row', '7'),
        [odd]: stored('absent'),
        [lookup]: stored('absent'),
        'shop2:{public.products/42}': stored('row', '1'),
      }),
      'shop',
    )
    const told = copies.map(({ kind, entity, columns, id, isCopy, entry }) => ({
      ...{ kind, entity, columns, id, isCopy },
      holds: entry.kind === 'row' ? entry.version : entry.kind,
    }))
    const table = { entity: 'public.products', columns: undefined, isCopy: false }
    expect(told).toEqual([
      { ...table, kind: 'row', id: ['42'], holds: '7' },
      { ...table, kind: 'row', id: ['42'], isCopy: true, holds: '7' },
      { ...table, kind: 'row', id: ['a,b/c:d{e}', 'ü %'], holds: 'absent' },
      { ...table, kind: 'lookup', columns: 'shop,sku', id: ['3', 'a,b'], holds: 'absent' },
    ])
    expect(unread).toBe(0)
  })

  it('leaves out what an older epoch has ended, and counts what it cannot read', async () => {
    const long = row('x'.repeat(300))
    const { copies, unread } = await findStoredCopies(
      node({
        [row('1')]: stored('row', '7', '00000000'),
        [row('2')]: stored('row', '7', '0000000z'),
        [long]: stored('row', '7', '0000000z'),
        [row('3')]: Buffer.from('foreign'),
        [cacheKey(keyPrefix('shop', 'query', 'bestsellers'), ['10'])]: stored('row', '7', '0000000z'),
        '{shop}:epoch': Buffer.from('35'),
      }),
      'shop',
    )
    expect(copies.map(({ id }) => id)).toEqual([['2']])
    expect(unread, 'an overlong id, foreign bytes, a result').toBe(3)
  })

  it('finds what a client with a key prefix has, of which SCAN knows nothing, on one server and on a cluster', async () => {
    const keys = [row('1'), '{shop}:epoch']
    const stands = (own: string) => ({
      ...node(
        Object.fromEntries(
          keys.map((key) => [`dev:${key}`, key === '{shop}:epoch' ? Buffer.from('1') : stored('row', '7', '00000001')]),
        ),
      ),
      options: { keyPrefix: own },
    })
    const bare = stands('')
    const one = { ...bare, options: { keyPrefix: 'dev:' }, getBuffer: (key: string) => bare.getBuffer(`dev:${key}`) }
    for (const redis of [one, { nodes: () => [bare], options: { keyPrefix: 'dev:' } }]) {
      const { copies, unread } = await findStoredCopies(redis, 'shop')
      expect(copies.map(({ redisKey }) => redisKey)).toEqual([row('1')])
      expect(unread).toBe(0)
    }
  })

  it('counts a key that cannot be read back as unread, and goes on', async () => {
    const { copies, unread } = await findStoredCopies(
      node({ [row('\ud800')]: stored('row', '7'), [row('2')]: stored('row', '7') }),
      'shop',
    )
    expect([copies.length, unread]).toEqual([1, 1])
  })

  it('does not take a cluster that is not connected for an empty one', async () => {
    await expect(findStoredCopies({ nodes: () => [] }, 'shop')).rejects.toThrow('not reach the cache')
  })

  it('looks at every primary of a cluster', async () => {
    const nodes = [node({ [row('1')]: stored('row', '7') }), node({ [row('2')]: stored('row', '8') })]
    const { copies } = await findStoredCopies({ nodes: () => nodes }, 'shop')
    expect(copies.map(({ entry }) => entry.version)).toEqual(['7', '8'])
  })
})
