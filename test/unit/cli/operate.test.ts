import { expect, it } from 'vitest'
import { createWithSeams } from '../../../src/client.js'
import { asRelay, insideOf } from '../../../src/inside.js'
import { asOperator } from '../../support/operator.js'
import { openShopDatabase } from '../../support/shop-lab.js'

function start() {
  const corral = createWithSeams(
    { db: openShopDatabase('postgres://127.0.0.1:1/nothing'), namespace: 'shop', relay: true },
    { feed: { lead: async () => false } },
  )
  return { corral, relay: corral.stats().relay }
}

it('an instance of an operator does not relay, whatever its config says, but for the command that does', async () => {
  const relaying = asOperator(() => {
    const operated = start()
    expect(operated.relay).toBe('off')
    expect(insideOf(operated.corral)?.runs).toBe(true)
    const relaying = asRelay(start)
    expect(start().relay).toBe('off')
    return relaying
  })
  expect(relaying.relay).toBe('standby')
  await relaying.corral.close()
})
