import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { freezeRow } from '../../../src/adapters/codec/read-only.js'
import { cacheKey, keyPrefix } from '../../../src/core/key.js'
import { SharedReads } from '../../../src/table/shared-reads.js'

function open(row: object = { id: 42 }) {
  const reads: { id: string; hasLeft: boolean; joined: number }[] = []
  const readShared = (_: string, [id = '']: readonly string[]) => {
    const read = { id, hasLeft: false, joined: 0 }
    reads.push(read)
    return { answer: Promise.resolve(freezeRow({ ...row })), look: read as never }
  }
  const join = ({ look }: { readonly look: object }) => {
    const read = look as (typeof reads)[number]
    if (!read.hasLeft) read.joined++
    return !read.hasLeft
  }
  const shared = new SharedReads({ readShared, join })
  const read = (...id: string[]) => shared.read(cacheKey(keyPrefix('shop', 'row', 'public.products'), id), id)
  return { shared, reads, read }
}

describe('SharedReads', () => {
  it('gives everybody the same promise until the look has left', () => {
    const { shared, reads, read } = open()
    expect(shared.join(42), 'nothing was asked for').toBeUndefined()
    const answer = read('42')
    expect([shared.join(42), shared.join('42')].map((joined) => joined === answer)).toEqual([true, true])
    expect(reads[0]?.joined).toBe(2)
    reads[0]!.hasLeft = true
    expect(shared.join(42)).toBeUndefined()
  })

  it('knows the row that was asked for last, in its canonical spelling', () => {
    const { shared, read } = open()
    void read('42')
    for (const id of [43, '042', '42 ', 4.2, Number.NaN, 42n, null, undefined, ['42'], { id: 42 }]) {
      expect(shared.join(id), String(id)).toBeUndefined()
    }
    const last = read('43')
    expect(shared.join(42)).toBeUndefined()
    expect(shared.join(43)).toBe(last)
  })

  it('takes no id of several columns for one of one, whatever it looks like', () => {
    const { shared, read } = open()
    void read('1', '2')
    for (const id of ['1', '1,2', '1\0' + '2']) expect(shared.join(id)).toBeUndefined()
  })

  it.each(['integer', 'character varying(80)', 'numeric(10,2)', 'timestamp with time zone', 'jsonb', 'text[]', 'uuid'])(
    'is for rows of %s',
    (type) => expect(SharedReads.of([{ type: 'bigint' }, { type }], null as never)).toBeDefined(),
  )

  it.each(['bytea', 'bytea[]', 'avatar', 'mood', 'geometry(Point,4326)', '"text"', 'integers', 'textual'])(
    'is not for rows of %s, in which there may be bytes',
    (type) => expect(SharedReads.of([{ type: 'bigint' }, { type }], null as never)).toBeUndefined(),
  )

  it('ends for good when bytes turn up all the same', async () => {
    const { shared, read } = open({ id: 42, digest: Buffer.from('made by a type parser') })
    await read('42')
    expect(shared.join(42)).toBeUndefined()
    void read('42')
    expect(shared.join(42)).toBeUndefined()
  })
})
