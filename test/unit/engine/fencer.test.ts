import { describe, expect, it } from 'vitest'
import type { Change } from '../../../src/core/change.js'
import type { CacheKey } from '../../../src/core/key.js'
import type { FenceOutcome, FenceRequest } from '../../../src/core/ports.js'
import { settle } from '../../support/manual-clock.js'
import { openFencer } from '../../support/open-fencer.js'

const ROW = 'shop:{public.products/1}' as CacheKey
const COPY = 'shop:{public.products/1:slot0.2}' as CacheKey
const MARK = 'shop:{public.products#values}' as CacheKey

/** A fencer whose store answers when it is told to, and what happened in which order. */
function open(options: { announcesBehind: boolean; copies?: readonly CacheKey[]; resends?: boolean }) {
  const happened: string[] = []
  const sent: FenceRequest[] = []
  const answers: (() => void)[] = []
  const store = {
    resends: 0,
    fence(requests: readonly FenceRequest[]): Promise<FenceOutcome[]> {
      happened.push(`sent ${requests.length}`)
      sent.push(...requests)
      return new Promise((resolve) => {
        answers.push(() => {
          happened.push('answered')
          if (options.resends) store.resends++
          resolve(requests.map(() => 'dropped'))
        })
      })
    },
    read: async () => [null],
  }
  const announce = () => void happened.push('told')
  const { fencer } = openFencer({ ...options, store, announce, hot: ROW })
  const write = async (changes: readonly Change[]) => {
    const writing = fencer.afterCommit(changes)
    await settle()
    while (answers.length > 0) {
      answers.shift()?.()
      await settle()
    }
    await writing
    return happened
  }
  return { write, sent }
}

function changeOf(key: CacheKey, unless?: string): Change {
  const change = { key, version: null, xid: null, absent: false, hasFloor: key === ROW }
  return unless === undefined ? change : { ...change, unless }
}

describe('the others are told of a write', () => {
  it('when its fences have arrived', async () => {
    const { write } = open({ announcesBehind: false })
    expect(await write([changeOf(ROW)])).toEqual(['sent 1', 'answered', 'told'])
  })

  it('right behind its fences, where messages follow them', async () => {
    const { write } = open({ announcesBehind: true })
    expect(await write([changeOf(ROW), changeOf(MARK)])).toEqual(['sent 2', 'told', 'answered'])
  })

  it('and once more if these had to be sent again', async () => {
    const { write } = open({ announcesBehind: true, resends: true })
    expect(await write([changeOf(ROW)])).toEqual(['sent 1', 'told', 'answered', 'told'])
  })

  it('when they have arrived also there, if copies are fenced after them', async () => {
    const { write } = open({ announcesBehind: true, copies: [COPY] })
    expect(await write([changeOf(ROW)])).toEqual(['sent 1', 'answered', 'sent 1', 'answered', 'told'])
  })

  it('and if there are more than leave at once', async () => {
    const { write } = open({ announcesBehind: true })
    const changes = Array.from({ length: 300 }, (_, at) => changeOf(`shop:{public.products/${at}}` as CacheKey))
    expect(await write(changes)).toEqual(['sent 256', 'answered', 'sent 44', 'answered', 'told'])
  })

  it('and if what is stored decides whether a key is fenced', async () => {
    const { write } = open({ announcesBehind: true })
    expect(await write([changeOf(ROW), changeOf(MARK, 'declared')])).toEqual(['sent 1', 'answered', 'told'])
  })
})

describe('several writes of one transaction to one row', () => {
  const offer = { prepare: async () => ({ sealed: new Uint8Array(), keepMs: 1, bytes: new Uint8Array() }) as never }
  const change = (version: string | null, xid: string, offers = false): Change => ({
    ...{ ...changeOf(ROW), version: version as Change['version'], xid },
    ...(offers ? { offer } : {}),
  })

  it('are one fence, which asks for the highest stamp of them and offers what the last one wrote', async () => {
    const { write, sent } = open({ announcesBehind: false })
    await write([change('5', '90'), change('7', '91', true)])
    expect(sent).toMatchObject([{ version: '7', xid: '91', replacement: { keepMs: 1 } }])
  })

  it('also where the last does not have it: then nothing may take the place of what is cached', async () => {
    const { write, sent } = open({ announcesBehind: false })
    await write([change('5', '90'), change('1', '91', true)])
    expect(sent).toMatchObject([{ version: '5', xid: '91', replacement: null }])
  })

  it('and which ends everything where one of them has none', async () => {
    const { write, sent } = open({ announcesBehind: false })
    await write([change(null, '90'), change('9', '90', true)])
    expect(sent).toMatchObject([{ version: null, xid: '90', replacement: null }])
  })
})
