import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Report } from '../harness/report.js'
import { flawsOf } from '../harness/report-flaws.js'
import { expectedOf } from '../scenarios/promised.js'
import { limitSeconds } from './plan.js'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
/** From the request to end to the order: long enough to stop the servers. */
const END_GRACE_MS = 15_000

export type Outcome = { readonly report: Report } | { readonly failure: string }

/** Runs one scenario in a process of its own, so that whatever happens to it happens to it alone. */
export async function runScenario(scenario: string, options: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [...process.execArgv, MAIN, scenario, '--json', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const end = (signal: NodeJS.Signals) => child.kill(signal)
  const onSignal = (signal: NodeJS.Signals) => {
    end(signal)
    child.once('exit', () => process.exit(130))
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  let isLate = false
  let killer: NodeJS.Timeout | undefined
  const limit = limitSeconds(scenario)
  const timer = setTimeout(() => {
    isLate = true
    end('SIGTERM')
    killer = setTimeout(() => end('SIGKILL'), END_GRACE_MS)
  }, limit * 1_000)
  try {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    const ending = await new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`))
    })
    if (isLate) return { failure: `took more than ${limit} s` }
    if (ending !== 'exit code 0') return { failure: `ended with ${ending}` }
    return read(scenario, output)
  } finally {
    clearTimeout(timer)
    clearTimeout(killer)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, onSignal)
  }
}

function read(scenario: string, output: string): Outcome {
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  let report: unknown
  try {
    report = JSON.parse(last)
  } catch {
    return { failure: 'its last line is no JSON' }
  }
  const flaws = flawsOf(report, expectedOf(scenario))
  return flaws.length > 0 ? { failure: `its report: ${flaws.join('; ')}` } : { report: report as Report }
}
