import fc from 'fast-check'
import { describe, it } from 'vitest'
import { envelope } from '../../src/adapters/codec/envelope.js'
import { MemoryStore } from '../../src/adapters/memory/memory-store.js'
import type { CacheKey } from '../../src/core/key.js'
import type { StoredBytes } from '../../src/core/ports.js'
import type { Version } from '../../src/core/version.js'
import { KeyLab, newEntry, snapshotFrom } from '../contract/store-lab.js'
import { ManualClock } from '../support/manual-clock.js'
import { rulesWithout } from './rules.js'
import { type Entry, NONE } from './state.js'
import * as store from './store.js'

const RUNS = 300
/** Commits, and so versions and transactions; token 3 is nobody's. */
const number = fc.integer({ min: 1, max: 5 })
const token = fc.constantFrom(1, 2, 3)

const operation = fc.oneof(
  fc.record({ op: fc.constant('lease' as const), token, seesIt: fc.boolean() }),
  fc.record({
    op: fc.constant('fill' as const),
    ...{ token, of: number, absent: fc.boolean(), isStandby: fc.boolean(), replacesNewer: fc.boolean() },
  }),
  fc.record({
    op: fc.constant('fence' as const),
    ...{ version: fc.option(number), xid: fc.option(number), rememberAlways: fc.boolean(), replaces: fc.boolean() },
  }),
  fc.record({ op: fc.constant('release' as const), token }),
)
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never

describe("the model's store", () => {
  it('answers as the memory store does, whatever it is asked', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 15 }), async (operations) => {
        const ours = new ModelKey()
        const theirs = memoryKey()
        for (const [step, each] of operations.entries()) {
          const [said, expected] = [ours.perform(each), await performIn(theirs, each)]
          if (said !== expected) throw new Error(`step ${step} ${each.op}: memory says ${expected}, the model ${said}`)
          const [held, stored] = [ours.held, heldIn(await theirs.read())]
          if (held !== stored)
            throw new Error(`after step ${step} ${each.op}: memory holds ${stored}, the model ${held}`)
        }
      }),
      { numRuns: RUNS },
    )
  })
})

const RULES = rulesWithout()
const versionOf = (entry: Entry) => (entry.absent ? null : entry.of)

class ModelKey {
  readonly #place = store.emptyPlace()

  get held(): string {
    const { entry } = this.#place
    return entry === undefined ? 'nothing' : entry.absent ? 'absent' : `row ${entry.of}`
  }

  perform(each: Operation): string {
    const place = this.#place
    switch (each.op) {
      case 'lease':
        return store.lease(place, each.token, each.seesIt ? place.entry : NOTHING_LIKE_IT, false)
      case 'fill': {
        const { of, absent } = each
        const entry = { of, absent, epoch: 0, expired: false }
        const standbyAt = each.isStandby ? of : null
        const request = { ...each, version: versionOf(entry), entry, standbyAt, isTooLate: false }
        return store.fill(place, request, versionOf, RULES)
      }
      case 'fence': {
        const { version, xid, rememberAlways } = each
        const replacement = each.replaces && version !== null ? { ...NOTHING_LIKE_IT, of: version } : undefined
        return store.fence(place, { version, xid: xid ?? NONE, rememberAlways, replacement }, versionOf, RULES)
      }
      case 'release':
        store.release(place, each.token)
        return 'released'
    }
  }
}

const NOTHING_LIKE_IT: Entry = { of: 99, absent: false, epoch: 0, expired: false }

function memoryKey(): KeyLab {
  const nothing = async () => {}
  const memory = new MemoryStore({ clock: new ManualClock(), maxBytes: 100_000, maxGuards: 10 })
  const newKey = () => 'shop:{public.products/1}' as CacheKey
  return new KeyLab({ store: memory, newKey, pass: nothing, evictEntry: nothing, evictGuard: nothing })
}

async function performIn(lab: KeyLab, each: Operation): Promise<string> {
  const name = (each: number) => `t${each}`
  switch (each.op) {
    case 'lease': {
      const seen = each.seesIt ? await lab.read() : Buffer.from('something else')
      return (await lab.lease(name(each.token), { seen, leaseMs: 60_000 })).outcome
    }
    case 'fill':
      return lab.fill(name(each.token), each.absent ? undefined : String(each.of), {
        loadedFrom: each.isStandby ? 'standby' : 'primary',
        // A standby at commit n has seen every transaction below n + 1.
        snapshot: snapshotFrom(each.of + 1),
        replacesNewer: each.replacesNewer,
      })
    case 'fence': {
      const { version, xid, rememberAlways } = each
      const text = version === null ? null : String(version)
      const sealed = text !== null && each.replaces ? envelope.seal(newEntry('row', text, `v${text}`)) : undefined
      return lab.fence(text as Version | null, {
        xid: xid === null ? null : String(xid),
        rememberAlways,
        replacement: sealed ? { sealed, keepMs: 10_000 } : null,
      })
    }
    case 'release':
      await lab.release(name(each.token))
      return 'released'
  }
}

function heldIn(bytes: StoredBytes | null): string {
  if (bytes === null) return 'nothing'
  const entry = envelope.open(bytes)
  if ('unreadable' in entry) return entry.unreadable
  return entry.kind === 'absent' ? 'absent' : `row ${entry.version}`
}
