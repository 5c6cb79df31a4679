import { describe, expect, it } from 'vitest'
import type { Change } from '../../../src/core/change.js'
import { CacheUnavailableError } from '../../../src/core/errors.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { FenceOutcome, FenceRequest } from '../../../src/core/ports.js'
import { openFencer } from '../../support/open-fencer.js'

const [ONE, TWO] = ['shop:{public.products/1}', 'shop:{public.products/2}'] as [CacheKey, CacheKey]
const MARK = 'shop:{public.products#table}' as CacheKey
const COPY = 'shop:{public.products/1:slot0.2}' as CacheKey

/** A fencer, what it sends and tells in which order, and the keys that its store does not take. */
function open(
  options: { announcesBehind?: boolean; copies?: readonly CacheKey[]; refused?: readonly CacheKey[] } = {},
) {
  const happened: string[] = []
  const sent: FenceRequest[][] = []
  const replaced: number[] = []
  const store = {
    async fence(requests: readonly FenceRequest[]) {
      happened.push(`fences of ${requests.map(({ key }) => key.slice('shop:{public.products'.length, -1)).join(' ')}`)
      sent.push([...requests])
      return requests.map(({ key, replacement }): FenceOutcome | CacheUnavailableError => {
        if (options.refused?.includes(key)) return new CacheUnavailableError('fence', 'refused')
        return replacement ? 'replaced' : 'dropped'
      })
    },
    read: async () => [null],
  }
  const announce = (changes: readonly { readonly key: CacheKey }[]) =>
    void happened.push(`told of ${changes.map(({ key }) => key.slice('shop:{public.products'.length, -1)).join(' ')}`)
  const { fencer, pending } = openFencer({
    ...{ announcesBehind: true, ...options, store, announce, hot: ONE },
    emit: (event) => event.type === 'fence' && replaced.push(event.replaced),
  })
  return { fencer, happened, sent, replaced, pending }
}

function write(key: CacheKey, version: string, offers = false): Change[] {
  const row = { key, version: version as Change['version'], xid: version, absent: false, hasFloor: true }
  const offer = { prepare: async () => ({ sealed: new Uint8Array(), keepMs: 1, bytes: new Uint8Array() }) as never }
  const mark = { key: MARK, version: null, xid: null, absent: false, hasFloor: false }
  return [offers ? { ...row, offer } : row, mark]
}

describe('writes that are heard of in one turn', () => {
  it('are fenced together, each mark once and behind the rows, and told of right behind', async () => {
    const { fencer, happened } = open()
    await Promise.all([fencer.afterCommit(write(ONE, '5')), fencer.afterCommit(write(TWO, '6'))])
    expect(happened).toEqual(['fences of /1 /2 #table', 'told of /1 #table', 'told of /2 #table'])
  })

  it('ask for as much of one row as each of them', async () => {
    const { fencer, sent } = open()
    await Promise.all([fencer.afterCommit(write(ONE, '7')), fencer.afterCommit(write(ONE, '5'))])
    expect(sent).toMatchObject([[{ key: ONE, version: '7', xid: '7' }, { key: MARK }]])
  })

  it('are acknowledged each for itself', async () => {
    const { fencer, pending } = open({ refused: [TWO] })
    const states = await Promise.all([fencer.afterCommit(write(ONE, '5')), fencer.afterCommit(write(TWO, '6'))])
    expect(states).toEqual(['fenced', 'pending'])
    expect([pending.has(ONE), pending.has(TWO)]).toEqual([false, true])
  })

  it('say each of itself whether its row took the place of the old one', async () => {
    const { fencer, replaced } = open()
    await Promise.all([fencer.afterCommit(write(ONE, '5', true)), fencer.afterCommit(write(TWO, '6'))])
    expect(replaced.sort()).toEqual([0, 1])
  })

  it('are fenced alone where copies follow, or where there are many', async () => {
    const { fencer, sent } = open({ copies: [COPY] })
    const keys = Array.from({ length: 9 }, (_, at) => `shop:{public.products/9${at}}` as CacheKey)
    const many = keys.flatMap((key) => write(key, '6').slice(0, 1))
    const writes = [write(ONE, '5'), write(TWO, '6'), many]
    await Promise.all(writes.map((changes) => fencer.afterCommit(changes)))
    const keysOf = (requests: readonly FenceRequest[]) => requests.map(({ key }) => key)
    expect(sent.map(keysOf)).toEqual(expect.arrayContaining([[ONE, MARK], [COPY], [TWO, MARK], keys]))
    expect(sent).toHaveLength(4)
  })

  it('and where messages go another way', async () => {
    const { fencer, sent } = open({ announcesBehind: false })
    await Promise.all([fencer.afterCommit(write(ONE, '5')), fencer.afterCommit(write(TWO, '6'))])
    expect(sent).toHaveLength(2)
  })
})
