/**
 * `npm run model`: tries every order of events in small scopes, first with the whole protocol, then without each of its mechanisms,
 * and tells how the protocol breaks then. Exits with 1 when the whole protocol breaks, or when it does not without a mechanism.
 *
 * `npm run model -- <mechanism>` tells one story; `-- --brief` none; `-- --deep` gives each scope one more read (minutes).
 */
import { parseArgs } from 'node:util'
import { ABLATIONS } from './ablations.js'
import { type Exploration, explore } from './explore.js'
import { RULES, type RuleName, rulesWithout } from './rules.js'
import type { Scope } from './scope.js'
import { SCOPES, type ScopeName } from './scopes.js'
import { tellStory } from './story.js'
import { systemOf } from './system.js'

const DEEP_STATES = 8_000_000

const { values, positionals } = parseArgs({
  options: { brief: { type: 'boolean', default: false }, deep: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const [asked] = positionals
if (asked !== undefined && !(asked in RULES)) {
  console.error(`no mechanism is called ${asked}; there are: ${Object.keys(RULES).join(', ')}`)
  process.exit(2)
}
const failures: string[] = []
if (asked === undefined) tryWhole()
for (const rule of asked === undefined ? (Object.keys(RULES) as RuleName[]) : [asked as RuleName]) tryWithout(rule)
for (const failure of failures) console.error(failure)
process.exitCode = failures.length > 0 ? 1 : 0

function tryWhole(): void {
  console.log('The whole protocol\n')
  let states = 0
  const startedMs = performance.now()
  for (const [name, scope] of Object.entries(SCOPES) as [ScopeName, Scope][]) {
    const found = values.deep
      ? explore(systemOf({ scope: deeper(scope), rules: rulesWithout() }), DEEP_STATES)
      : explore(systemOf({ scope, rules: rulesWithout() }))
    states += found.states
    console.log(`  ${name.padEnd(17)}${count(found.states)} states   ${verdictOn(name, found)}`)
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
  console.log(`  ${'together'.padEnd(17)}${count(states)} states   in ${seconds} s\n`)
}

function verdictOn(name: ScopeName, { counterexample }: Exploration): string {
  if (counterexample === undefined) return SCOPES[name].about
  failures.push(`the whole protocol breaks in scope ${name}`)
  return `BROKEN\n${tellStory(counterexample)}`
}

function tryWithout(rule: RuleName): void {
  const { scope, behind } = ABLATIONS[rule]
  const taken = behind === undefined ? [rule] : [rule, behind]
  const { counterexample } = explore(systemOf({ scope: SCOPES[scope], rules: rulesWithout(...taken) }))
  const first = behind === undefined ? '' : `, behind ${behind}`
  console.log(`Without: ${RULES[rule].says}\n  ${rule}, ${RULES[rule].where}; scope ${scope}${first}`)
  if (counterexample === undefined) {
    failures.push(`nothing breaks without ${rule}`)
    console.log('  NOTHING BREAKS\n')
  } else if (values.brief) console.log(`  ${counterexample.steps.length} steps: ${counterexample.broken}\n`)
  else console.log(`${tellStory(counterexample)}\n`)
}

function deeper(scope: Scope): Scope {
  const [first, ...others] = scope.readers
  return first === undefined ? scope : { ...scope, readers: [{ ...first, reads: first.reads + 1 }, ...others] }
}

function count(states: number): string {
  return states.toLocaleString('en-US').padStart(9)
}
