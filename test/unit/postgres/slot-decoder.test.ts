import type { Pgoutput } from 'pg-logical-replication'
import { describe, expect, it } from 'vitest'
import { SlotDecoder, type SlotTransaction } from '../../../src/adapters/postgres/slot-decoder.js'

function relation(name: string): Pgoutput.MessageRelation {
  const column = (of: string) => ({
    ...{ name: of, flags: 1, typeOid: 23, typeMod: -1, typeSchema: null, typeName: null },
    parser: Number,
  })
  const columns = [column('id')]
  return {
    tag: 'relation',
    relationOid: 1,
    schema: 'public',
    name,
    replicaIdentity: 'default',
    columns,
    keyColumns: ['id'],
  }
}

const PRODUCTS = relation('products')
const SHOPS = relation('shops')

function lab(maxRows = 3) {
  const transactions: SlotTransaction[] = []
  const decoder = new SlotDecoder({ maxRows, onTransaction: (each) => transactions.push(each) })
  const take = (...messages: Pgoutput.Message[]) => {
    for (const message of messages) decoder.take(message)
    return transactions.map(({ changes }) => changes.map(({ op, relation }) => `${op} ${relation.name}`))
  }
  return { transactions, take }
}

const begin = (xid = 7): Pgoutput.Message => ({ tag: 'begin', commitLsn: '0/10', commitTime: 2_000_000n, xid })
const commit: Pgoutput.Message = { tag: 'commit', flags: 0, commitLsn: '0/10', commitEndLsn: '1/20', commitTime: 0n }
const insert = (of = PRODUCTS): Pgoutput.Message => ({ tag: 'insert', relation: of, new: { id: '1' } })
const truncate = (...relations: Pgoutput.MessageRelation[]): Pgoutput.Message => ({
  ...{ tag: 'truncate', cascade: false, restartIdentity: false },
  relations,
})

describe('a transaction as the slot tells it', () => {
  it('is handed on at its commit, with its id, time and place', () => {
    const { take, transactions } = lab()
    expect(take(begin(), insert())).toEqual([])
    take(commit)
    expect(transactions).toMatchObject([{ xid: 7, committedAtMs: 2_000, endLsn: 0x1_0000_0020n }])
  })

  it('has an id above the largest signed number, though the package reads it as a negative one', () => {
    const { take, transactions } = lab()
    take(begin(-1), insert(), commit)
    expect(transactions[0]?.xid).toBe(0xffff_ffff)
  })

  it('of more rows than it may have is one event for each of its tables, and truncations stay what they are', () => {
    const { take } = lab(3)
    expect(take(begin(), insert(), insert(SHOPS), insert(), commit)).toEqual([
      ['insert products', 'insert shops', 'insert products'],
    ])
    expect(
      take(begin(), insert(), truncate(SHOPS), insert(), insert(), insert(), insert(SHOPS), commit).at(-1),
    ).toEqual(['truncate shops', 'bulk products', 'bulk shops'])
    expect(take(begin(), insert(), commit).at(-1), 'and the next begins to count anew').toEqual(['insert products'])
  })

  it('has values as texts, not as what the process has made its type parsers make of them', () => {
    const { take } = lab()
    const known = relation('products')
    take(known)
    expect(known.columns[0]?.parser('007')).toBe('007')
  })

  it('has its former row, or the former key alone, or neither', () => {
    const { take, transactions } = lab(9)
    const update = (more: object): Pgoutput.Message => ({
      ...{ tag: 'update', relation: PRODUCTS, key: null, old: null, new: { id: '2' } },
      ...more,
    })
    take(begin(), update({}), update({ key: { id: '1' } }), update({ old: { id: '0' } }), commit)
    expect(transactions[0]?.changes.map((change) => ('old' in change ? change.old : '-'))).toEqual([
      undefined,
      { id: '1' },
      { id: '0' },
    ])
  })

  it('is refused where it was not begun', () => {
    expect(() => lab().take(insert())).toThrow('outside a transaction')
  })
})
