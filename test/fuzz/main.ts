/**
 * `npm run fuzz`: hostile bytes for everything that reads what others may have written. A million entries and a hundred thousand of
 * everything else; `npm test` gives each a small share.
 *
 * Usage: npm run fuzz [-- --seed N] [--share 0.1] [--only tokens]
 */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.js'
import { TARGETS } from './targets.js'

const text = { type: 'string' } as const
const { values } = parseArgs({ options: { seed: text, share: text, only: text } })
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const share = Number(values.share ?? 1)
console.log(`seed ${seed}`)
for (const target of TARGETS.filter(({ name }) => name.includes(values.only ?? ''))) {
  const { inputs, elapsedMs, slowestMs, risenMib, outcomes } = fuzz(target, target.full * share, seed)
  console.log(
    `${target.name}: ${inputs.toLocaleString('en')} inputs in ${(elapsedMs / 1_000).toFixed(0)} s, slowest ${slowestMs.toFixed(1)} ms, ` +
      `memory +${risenMib.toFixed(0)} MiB`,
  )
  console.log(
    `  ${Object.entries(outcomes)
      .map(([outcome, count]) => `${outcome} ${count.toLocaleString('en')}`)
      .join(' · ')}`,
  )
}
