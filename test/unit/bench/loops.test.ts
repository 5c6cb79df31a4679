import { expect, it } from 'vitest'
import { sideBySide } from '../../../bench/harness/loops.js'
import { workloadsOf } from '../../../bench/scenarios/write-contenders.js'

it.each([200, 256, 3])('does %d operations in lines when it is told to, because so many are counted', async (times) => {
  let done = 0
  const get = async () => ++done
  await sideBySide(get, new Uint32Array(1_024), times, 64)
  expect(done).toBe(times)

  done = 0
  const update = async (_id: number, stock: number) => {
    done++
    return { stock }
  }
  await workloadsOf(update)['16 at once']?.(times)
  expect(done).toBe(times)
})
