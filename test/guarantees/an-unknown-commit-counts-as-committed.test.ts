import { describe, expect, it } from 'vitest'
import { Fleet } from '../support/fleet.js'
import { expectNothingLeft } from '../support/nothing-left.js'
import type { ModelTransaction } from '../support/table-model.js'

type Status = 'committed' | 'aborted' | 'in progress' | 'unknown'

describe('an unknown commit counts as committed', () => {
  expectNothingLeft()

  /** The connection broke during COMMIT; the server decides a little later how it ends. */
  async function brokenCommit(hasXid = true) {
    const fleet = new Fleet()
    const [writer, reader] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    await reader.read('42')
    const transaction: ModelTransaction = fleet.table.begin()
    transaction.put('42', 2)
    const state: { status: Status } = { status: 'in progress' }
    const change = { id: '42', version: '0' as never, xid: hasXid ? transaction.xid : (null as never), absent: false }
    await writer.fenceUnknown(change, async () => state.status)
    return { fleet, writer, reader, transaction, state }
  }

  it('which drops what is cached at once', async () => {
    const { fleet, writer, reader, transaction, state } = await brokenCommit()
    transaction.commit()
    expect((await reader.read('42'))?.price).toBe(2)
    expect((await writer.read('42'))?.price).toBe(2)
    state.status = 'committed'
    await fleet.clock.advance(50)
  })

  it('and drops it again when the server says that it has committed: a reader may have cached the old row meanwhile', async () => {
    const { fleet, writer, reader, transaction, state } = await brokenCommit()
    expect((await reader.read('42'))?.price).toBe(1)
    await fleet.clock.advance(1_000)
    expect((await reader.read('42'))?.price, 'still being decided, cached again').toBe(1)
    transaction.commit()
    state.status = 'committed'
    await fleet.clock.advance(50)
    expect((await reader.read('42'))?.price).toBe(2)
    expect((await writer.read('42'))?.price).toBe(2)
  })

  it('and leaves it alone when the server says that it was rolled back', async () => {
    const { fleet, reader, state } = await brokenCommit()
    await reader.read('42')
    state.status = 'aborted'
    await fleet.clock.advance(50)
    reader.events.story()
    expect((await reader.read('42'))?.price).toBe(1)
    expect(reader.events.story()).toMatchInlineSnapshot(`
      "
      1 hit l2 fresh
      "
    `)
  })

  it('and drops it again and again when nobody can say', async () => {
    const { fleet, reader, transaction } = await brokenCommit(false)
    await fleet.clock.advance(500)
    expect((await reader.read('42'))?.price).toBe(1)
    transaction.commit()
    expect((await reader.read('42'))?.price, 'not known to this reader yet').toBe(1)
    await fleet.clock.advance(600)
    expect((await reader.read('42'))?.price).toBe(2)
    await fleet.clock.advance(40_000)
  })

  it('also when asking fails for a while', async () => {
    const fleet = new Fleet()
    const [writer, reader] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const answers: (() => Promise<Status>)[] = [
      () => Promise.reject(new Error('no connection')),
      () => Promise.reject(new Error('no connection')),
      async () => 'committed',
    ]
    const change = fleet.table.put('42', 2)
    await writer.fenceUnknown(change, () => (answers.shift() as () => Promise<Status>)())
    await fleet.clock.advance(100)
    expect(answers).toHaveLength(0)
    expect((await reader.read('42'))?.price).toBe(2)
  })

  it('also when a question is never answered, as over a connection that is half open: it is asked again', async () => {
    const fleet = new Fleet()
    const [writer, reader] = [fleet.start(), fleet.start()]
    fleet.table.put('42', 1)
    const transaction = fleet.table.begin()
    transaction.put('42', 2)
    const answers: (() => Promise<Status>)[] = [() => new Promise(() => {}), async () => 'committed']
    const change = { id: '42', version: '0' as never, xid: transaction.xid, absent: false }
    await writer.fenceUnknown(change, () => (answers.shift() as () => Promise<Status>)())
    expect((await reader.read('42'))?.price, 'not committed yet, and cached').toBe(1)
    transaction.commit()
    await fleet.clock.advance(11_000)
    expect(answers).toHaveLength(0)
    expect((await reader.read('42'))?.price).toBe(2)
  })
})
