import { describe, expect, it } from 'vitest'
import { placeRelation } from '../../../src/adapters/postgres/relation-graph.js'
import type { CascadingKey, CatalogEdges } from '../../../src/adapters/postgres/relation-query.js'

function place(entity: string, edges: Partial<CatalogEdges>) {
  const relation = {
    entity,
    kind: 'r',
    special: false,
    shownInPart: false,
    toldByWriters: false,
    rewrites: false,
    columns: '',
    methods: [],
  }
  return placeRelation(relation, { parents: [], reads: [], keys: [], ...edges })
}

function key(from: string, to: string, does: Partial<CascadingKey> = {}): CascadingKey {
  return { from, to, onDelete: null, onUpdate: null, columns: ['id'], toColumns: ['parent'], ...does }
}

describe('the roots of a relation', () => {
  it('are itself where it is in no tree', () => {
    expect(place('a', {}).roots).toEqual(['a'])
  })

  it('are where its tree begins, through all levels', () => {
    const parents = [
      ['leaf', 'branch'],
      ['branch', 'root'],
      ['other', 'root'],
    ] as const
    for (const entity of ['leaf', 'branch', 'root', 'other']) expect(place(entity, { parents }).roots).toEqual(['root'])
  })

  it('are several where it inherits from several', () => {
    const parents = [
      ['child', 'a'],
      ['child', 'b'],
    ] as const
    expect(place('child', { parents }).roots).toEqual(['a', 'b'])
  })
})

describe('the tables below a view', () => {
  it('are found through other views, and counted by their roots', () => {
    const reads = [
      ['v', 'w'],
      ['w', 'leaf'],
      ['w', 'b'],
    ] as const
    const view = place('v', { reads, parents: [['leaf', 'root']] })
    expect(view.bases).toEqual(['root', 'b'])
    expect(view.rewrites, 'its columns may have other names').toBe(true)
  })

  it('cascade as if they had been written themselves', () => {
    const keys = [key('a', 'b', { onDelete: 'delete' })]
    expect(place('v', { reads: [['v', 'a']], keys }).cascades).toEqual([
      { by: 'delete', columns: ['id'], reaches: ['b'] },
    ])
  })
})

describe('a cascade', () => {
  it('goes on from delete to delete', () => {
    const keys = [key('a', 'b', { onDelete: 'delete' }), key('b', 'c', { onDelete: 'delete' })]
    expect(place('a', { keys }).cascades).toEqual([{ by: 'delete', columns: ['id'], reaches: ['b', 'c'] }])
  })

  it('that sets columns goes on only where those are referred to', () => {
    const first = key('a', 'b', { onDelete: 'update', toColumns: ['a_id'] })
    const deletes = key('b', 'c', { onDelete: 'delete' })
    const elsewhere = key('b', 'd', { onUpdate: 'update', columns: ['id'] })
    const there = key('b', 'e', { onUpdate: 'update', columns: ['a_id'] })
    expect(place('a', { keys: [first, deletes, elsewhere, there] }).cascades).toEqual([
      { by: 'delete', columns: ['id'], reaches: ['b', 'e'] },
    ])
  })

  it('is one for deletes and one for updates', () => {
    const keys = [key('a', 'b', { onDelete: 'delete', onUpdate: 'update' }), key('b', 'c', { onDelete: 'delete' })]
    expect(place('a', { keys }).cascades).toEqual([
      { by: 'delete', columns: ['id'], reaches: ['b', 'c'] },
      { by: 'update', columns: ['id'], reaches: ['b'] },
    ])
  })

  it('may come back to where it began, and ends', () => {
    const keys = [key('a', 'a', { onDelete: 'delete' }), key('a', 'b', { onDelete: 'delete' })]
    expect(place('a', { keys }).cascades).toEqual([
      { by: 'delete', columns: ['id'], reaches: ['a', 'b'] },
      { by: 'delete', columns: ['id'], reaches: ['b'] },
    ])
  })

  it('begins at a partition as at its table', () => {
    const keys = [key('root', 'b', { onDelete: 'delete' })]
    expect(place('leaf', { parents: [['leaf', 'root']], keys }).cascades).toHaveLength(1)
  })
})
