import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Report } from './report.js'

const FOLDER = fileURLToPath(new URL('../results/', import.meta.url))

/** Keeps a scenario's newest results, in place of the ones before. */
export function saveReport(report: Report): void {
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(`${FOLDER}${report.scenario}.json`, `${JSON.stringify(report, undefined, 2)}\n`)
}

/** What was saved, in the order of names. */
export function savedReports(): Report[] {
  if (!existsSync(FOLDER)) return []
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(`${FOLDER}${file}`, 'utf8')) as Report)
}
