import { describe, expect, it } from 'vitest'
import type { Change } from '../../src/core/change.js'
import { cacheKey, keyPrefix } from '../../src/core/key.js'
import { WriteLog } from '../../src/transaction.js'

function change(id: string): Change {
  const key = cacheKey(keyPrefix('shop', 'row', 'public.products'), [id])
  return { key, version: null, xid: null, absent: false, hasFloor: true }
}

describe('what a transaction has written', () => {
  it('is what there was before the earlier of two savepoints that are rolled back to, in whichever order', () => {
    const log = new WriteLog()
    log.add([change('1')], '7')
    const earlier = log.mark()
    log.add([change('2')], '7')
    log.addUnseen({ statement: 'raw', entity: undefined })
    const later = log.mark()
    log.add([change('3')], '7')
    log.rewind(earlier)
    log.rewind(later)
    expect(log.changes).toEqual([change('1')])
    expect(log.unseen).toEqual([])
  })

  it('is not told of by the application as long as what told was rolled back', () => {
    const log = new WriteLog()
    log.addUnseen({ statement: 'raw', entity: undefined })
    const untold = log.mark()
    log.told()
    const told = log.mark()
    log.rewind(untold)
    log.rewind(told)
    expect(log.unseen).toHaveLength(1)
  })
})
