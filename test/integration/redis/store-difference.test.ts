import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { beforeAll, describe, it } from 'vitest'
import { envelope } from '../../../src/adapters/codec/envelope.js'
import { MemoryStore } from '../../../src/adapters/memory/memory-store.js'
import type { CacheStore, LeaseReply, StoredBytes } from '../../../src/core/ports.js'
import { WIRE } from '../../../src/core/wire.js'
import { KeyLab, newEntry, type StoreUnderTest, snapshotFrom } from '../../contract/store-lab.js'
import { ManualClock } from '../../support/manual-clock.js'
import { openStandalone, type RedisLab } from '../../support/redis-lab.js'

const RUNS = 100

const version = fc.constantFrom('1', '2', '9', '10', '9007199254740992', '9007199254740993', '9223372036854775807')
const token = fc.constantFrom('a', 'b', 'c')
const xid = fc.constantFrom('7', '8', '100', '9007199254740993')
const seen = fc.constantFrom('current', 'current', 'nothing', 'other')
const kind = fc.constantFrom('row', 'row', 'absent', 'lookup') as fc.Arbitrary<'row' | 'absent' | 'lookup'>

/** One step; none of them lets time pass. */
const operation = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: fc.constant('read' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('lease' as const),
      token,
      seen,
      waitedFor: fc.option(token, { freq: 2 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('fill' as const),
      token,
      kind,
      version,
      xmin: fc.constantFrom(7, 8, 9, 101),
      standby: fc.boolean(),
      replacesNewer: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('release' as const),
      token,
      failure: fc.option(fc.constantFrom('57014', 'UNKNOWN')),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('fence' as const),
      version: fc.option(version, { freq: 4 }),
      xid: fc.option(xid),
      rememberAlways: fc.boolean(),
      replaces: fc.boolean(),
    }),
  },
)
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never

describe('MemoryStore and RedisStore', () => {
  let redis: RedisLab
  beforeAll(() => {
    redis = openStandalone()
  })

  it('answer every sequence of operations alike', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 25 }), async (operations) => {
        const labs = [new KeyLab(redis), new KeyLab(memory())]
        for (const [step, each] of operations.entries()) {
          const [theirs, ours] = await Promise.all(labs.map((lab) => perform(lab, each)))
          if (theirs !== ours) throw new Error(`step ${step} ${each.op}: Redis says ${theirs}, memory says ${ours}`)
        }
        const [theirs, ours] = await Promise.all(labs.map(async (lab) => told(await lab.read())))
        if (theirs !== ours) throw new Error(`at the end: Redis holds ${theirs}, memory holds ${ours}`)
      }),
      { numRuns: RUNS },
    )
  })
})

function memory(): Pick<StoreUnderTest, 'newKey'> & { store: CacheStore } & StoreUnderTest {
  const store = new MemoryStore({ clock: new ManualClock(), maxBytes: 1_000_000 })
  const nothing = async () => {}
  return { store, newKey: redisFreeKey, pass: nothing, evictEntry: nothing, evictGuard: nothing }
}

const redisFreeKey = () => 'shop:{public.products/1}' as ReturnType<StoreUnderTest['newKey']>

async function perform(lab: KeyLab, step: Operation): Promise<string> {
  switch (step.op) {
    case 'read':
      return told(await lab.read())
    case 'lease': {
      const current = await lab.read()
      const bytes = step.seen === 'nothing' ? null : step.seen === 'current' ? current : Buffer.from('something else')
      return said(await lab.lease(step.token, { seen: bytes, waitedFor: step.waitedFor, leaseMs: 60_000 }))
    }
    case 'fill':
      return lab.fill(step.token, step.kind === 'absent' ? undefined : step.version, {
        kind: step.kind,
        loadedFrom: step.standby ? 'standby' : 'primary',
        snapshot: snapshotFrom(step.xmin),
        replacesNewer: step.replacesNewer,
      })
    case 'release':
      return String(await lab.release(step.token, step.failure))
    case 'fence': {
      const { version } = step
      const replacement =
        step.replaces && version !== null
          ? { sealed: envelope.seal(newEntry('row', version, 'replaced')), keepMs: 10_000 }
          : null
      const { xid, rememberAlways } = step
      return lab.fence(version, { xid, rememberAlways, replacement })
    }
  }
}

/** Everything of an entry but its fill time, which is the store's own. */
function told(bytes: StoredBytes | null): string {
  return bytes === null ? 'nothing' : Buffer.from(bytes.subarray(WIRE.checksum.at)).toString('latin1')
}

function said(reply: LeaseReply): string {
  if (reply.outcome === 'changed') return `changed to ${told(reply.bytes)}`
  return reply.outcome === 'held' ? `held by ${reply.token}` : JSON.stringify(reply)
}
