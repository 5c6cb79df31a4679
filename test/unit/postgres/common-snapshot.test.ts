import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { commonSnapshot } from '../../../src/adapters/postgres/row-source.js'

/** As `pg_visible_in_snapshot` decides. */
function sees(snapshot: string, xid: bigint): boolean {
  const [xmin, xmax, open] = snapshot.split(':') as [string, string, string]
  if (xid < BigInt(xmin)) return true
  return xid < BigInt(xmax) && !open.split(',').includes(String(xid))
}

/** Around a change in the number of digits, where comparing them as text would go wrong. */
const FIRST = 95n
const LAST = 112n
const XIDS = Array.from({ length: Number(LAST - FIRST) }, (_, at) => FIRST + BigInt(at))

const snapshots = fc.record({ xmax: fc.bigInt(FIRST, LAST), open: fc.subarray(XIDS) }).map(({ xmax, open }) => {
  const below = open.filter((xid) => xid < xmax)
  return `${below[0] ?? xmax}:${xmax}:${below.join(',')}`
})

describe('the common snapshot', () => {
  it('sees exactly what both see', () => {
    fc.assert(
      fc.property(snapshots, snapshots, (some, other) => {
        const common = commonSnapshot(some, other)
        for (const xid of XIDS) expect(sees(common, xid)).toBe(sees(some, xid) && sees(other, xid))
      }),
    )
  })

  it('is well formed: nothing open below its xmin or from its xmax on', () => {
    fc.assert(
      fc.property(snapshots, snapshots, (some, other) => {
        const [xmin, xmax, open] = commonSnapshot(some, other).split(':') as [string, string, string]
        const xids = open === '' ? [] : open.split(',').map(BigInt)
        expect(BigInt(xmin) <= BigInt(xmax)).toBe(true)
        for (const xid of xids) expect(xid >= BigInt(xmin) && xid < BigInt(xmax)).toBe(true)
        expect(xids).toEqual([...xids].sort((a, b) => Number(a - b)))
      }),
    )
  })

  it('claims no more below its xmin than either, which is all that counts on a standby', () => {
    fc.assert(
      fc.property(snapshots, snapshots, (some, other) => {
        const xminOf = (snapshot: string) => BigInt(snapshot.split(':')[0] as string)
        const common = xminOf(commonSnapshot(some, other))
        expect(common <= xminOf(some) && common <= xminOf(other)).toBe(true)
      }),
    )
  })
})
