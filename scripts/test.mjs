/**
 * `npm test`: everything a change must pass, in one go, with a summary at the end. Every step runs even when one before
 * it failed, so that one run tells all there is to mend. Exits with 1 when a step failed or when no test ran.
 *
 * The counts are left in `.cache/test-counts.txt` as `N passed, N failed`, with `, N skipped` when some were.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureInstall } from './ensure-install.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const CACHE = join(ROOT, '.cache')
const REPORT = join(CACHE, 'vitest-report.json')
const COUNTS = join(CACHE, 'test-counts.txt')

const STEPS = [
  ['lint', 'node_modules/@biomejs/biome/bin/biome', ['check', '--no-errors-on-unmatched']],
  ['layers', 'scripts/check-layers.mjs', []],
  ['types', 'node_modules/typescript/bin/tsc', ['--project', 'tsconfig.json']],
  [
    'tests',
    'node_modules/vitest/vitest.mjs',
    ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`],
  ],
]

main()

function main() {
  mkdirSync(CACHE, { recursive: true })
  for (const file of [REPORT, COUNTS]) rmSync(file, { force: true })
  try {
    ensureInstall()
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
    return
  }
  const outcomes = STEPS.map(([name, program, args]) => runStep(name, program, args))
  const counts = readCounts()
  writeFileSync(COUNTS, `${countsLine(counts)}\n`)
  report(outcomes, counts)
  process.exitCode = outcomes.every(({ passed }) => passed) && counts.passed > 0 ? 0 : 1
}

function runStep(name, program, args) {
  console.log(`\n— ${name}: ${[program, ...args].join(' ')}`)
  const startedMs = performance.now()
  const { status, signal } = spawnSync(process.execPath, [join(ROOT, program), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (signal !== null) console.error(`${name} was ended by ${signal}`)
  return { name, passed: status === 0, seconds: (performance.now() - startedMs) / 1000 }
}

/** What vitest says it ran; nothing, when it ended before it could say. */
function readCounts() {
  let report
  try {
    report = JSON.parse(readFileSync(REPORT, 'utf8'))
  } catch {
    return { passed: 0, failed: 0, skipped: 0 }
  }
  // A file that fails to load fails as a suite and runs no test: without this it would not count at all.
  const unloadable = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloadable.length,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

function countsLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function report(outcomes, counts) {
  console.log('\nSummary')
  for (const { name, passed, seconds } of outcomes) {
    console.log(`  ${passed ? 'ok    ' : 'FAILED'}  ${name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s`)
  }
  if (counts.passed + counts.failed === 0) console.log('  No test ran, which counts as a failure.')
  console.log(`  ${countsLine(counts)}`)
}
