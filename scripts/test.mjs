/**
 * `npm test`: everything a change must pass, in one go, with a summary at the end. Every step runs even when one before
 * it failed, so that one run tells all there is to mend. Exits with 1 when a step failed or when no test ran.
 *
 * The counts are left in `.cache/test-counts.txt` as `N passed, N failed`, with `, N skipped` when some were.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { ensureInstall } from './ensure-install.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const CACHE = join(ROOT, '.cache')
const COUNTS = join(CACHE, 'test-counts.txt')
const TYPES_REPORT = join(CACHE, 'types-report.json')
const TESTS_REPORT = join(CACHE, 'vitest-report.json')
const REPORTS = [TYPES_REPORT, TESTS_REPORT]

const VITEST = 'node_modules/vitest/vitest.mjs'

/** The type tests, and with them everything that `npm run types` looks at. Begun first, since a compiler fills one processor only. */
const BESIDE = ['types', VITEST, vitestArgs('types', TYPES_REPORT)]
const STEPS = [
  ['lint', 'node_modules/@biomejs/biome/bin/biome', ['check', '--no-errors-on-unmatched']],
  ['layers', 'scripts/check-layers.mjs', []],
  ['tests', VITEST, vitestArgs('!types', TESTS_REPORT)],
]

await main()

async function main() {
  mkdirSync(CACHE, { recursive: true })
  for (const file of [...REPORTS, COUNTS]) rmSync(file, { force: true })
  try {
    ensureInstall()
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
    return
  }
  const beside = runBeside(...BESIDE)
  const outcomes = []
  for (const step of STEPS) outcomes.push(await runStep(...step))
  outcomes.push(await beside())
  const reports = REPORTS.map(readReport)
  const counts = reports.map(countsOf).reduce(sum)
  writeFileSync(COUNTS, `${countsLine(counts)}\n`)
  report(outcomes, counts, reports.flatMap(failuresOf))
  process.exitCode = outcomes.every(({ passed }) => passed) && counts.passed > 0 ? 0 : 1
}

function vitestArgs(project, report) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  return ['run', `--project=${project}`, ...reporters]
}

function runStep(name, program, args) {
  announce(name, program, args)
  return run(name, program, args, 'inherit').outcome
}

/** Begins a step. The function it returns waits for its end and then prints what it has said. */
function runBeside(name, program, args) {
  const { child, outcome } = run(name, program, args, ['ignore', 'pipe', 'pipe'])
  const said = []
  for (const output of [child.stdout, child.stderr]) output.on('data', (chunk) => said.push(chunk))
  return async () => {
    const ended = await outcome
    announce(name, program, args)
    process.stdout.write(Buffer.concat(said))
    return ended
  }
}

function announce(name, program, args) {
  console.log(`\n— ${name}: ${[program, ...args].join(' ')}`)
}

function run(name, program, args, stdio) {
  const startedMs = performance.now()
  const child = spawn(process.execPath, [join(ROOT, program), ...args], { cwd: ROOT, stdio })
  const outcome = new Promise((resolve) => {
    child.on('error', (error) => console.error(`${name} could not be started: ${error.message}`))
    child.on('close', (code, signal) => {
      if (signal !== null) console.error(`${name} was ended by ${signal}`)
      resolve({ name, passed: code === 0, seconds: (performance.now() - startedMs) / 1000 })
    })
  })
  return { child, outcome }
}

/** What a run of vitest says it has done; nothing, when it ended before it could say. */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] }
  }
}

function countsOf(report) {
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + report.testResults.filter(isUnloadable).length,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

/** A file that fails to load fails as a suite and runs no test: without this it would not count at all. */
function isUnloadable({ status, assertionResults }) {
  return status === 'failed' && assertionResults.length === 0
}

/** Each with where it is and the first lines of what it said: of a long log often the end alone is kept. */
function failuresOf({ testResults }) {
  return testResults.flatMap((file) => {
    const where = relative(ROOT, file.name)
    if (isUnloadable(file)) return [{ what: where, why: firstLines(file.message) }]
    const failed = file.assertionResults.filter(({ status }) => status === 'failed')
    return failed.map(({ fullName, failureMessages }) => ({
      what: `${where}: ${fullName}`,
      why: firstLines(failureMessages.join('\n')),
    }))
  })
}

function firstLines(text) {
  return stripVTControlCharacters(text).split('\n').slice(0, 8)
}

function sum(a, b) {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }
}

function countsLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function report(outcomes, counts, failures) {
  console.log('\nSummary')
  for (const { name, passed, seconds } of outcomes) {
    console.log(`  ${passed ? 'ok    ' : 'FAILED'}  ${name.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s`)
  }
  for (const { what, why } of failures) {
    console.log(`\n  FAILED  ${what}`)
    for (const line of why) console.log(`            ${line}`)
  }
  if (failures.length > 0) console.log()
  if (counts.passed + counts.failed === 0) console.log('  No test ran, which counts as a failure.')
  console.log(`  ${countsLine(counts)}`)
}
