/**
 * `npm run bench:report:check [-- --shots <folder>]`: opens docs/benchmarks.html in a real Chromium, light and dark, wide and as narrow as a phone.
 *
 * Exits with 1 for anything on the console, any request that leaves the page, text that sticks out of a narrow screen, or a plot without a size. With
 * `--shots` leaves a picture of each. Needs a Chromium: Debian's (`apt-get install chromium`), or the one that CHROMIUM names.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { type Browser, chromium } from 'playwright-core'
import { findChromium } from '../../scripts/find-chromium.js'

const PAGE = pathToFileURL(fileURLToPath(new URL('../../docs/benchmarks.html', import.meta.url))).href
/** As text: what runs in the page must not have been through a compiler that expects its own helpers there. */
const LAYOUT = readFileSync(new URL('layout-flaws.js', import.meta.url), 'utf8')
const SCREENS = [
  { name: 'light', scheme: 'light', width: 1_100, height: 900 },
  { name: 'dark', scheme: 'dark', width: 1_100, height: 900 },
  { name: 'phone-light', scheme: 'light', width: 390, height: 844 },
  { name: 'phone-dark', scheme: 'dark', width: 390, height: 844 },
] as const

const { values } = parseArgs({ options: { shots: { type: 'string' } } })

const browser = await chromium.launch(findChromium())
try {
  let found = 0
  for (const screen of SCREENS) {
    const flaws = await look(browser, screen)
    console.log(`${screen.name.padEnd(12)} ${flaws.length === 0 ? 'nothing wrong' : flaws.join('; ')}`)
    found += flaws.length
  }
  process.exitCode = found === 0 ? 0 : 1
} finally {
  await browser.close()
}

async function look(browser: Browser, { name, scheme, width, height }: (typeof SCREENS)[number]): Promise<string[]> {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme })
  const flaws: string[] = []
  page.on('console', (message) => flaws.push(`console ${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => flaws.push(`error: ${error.message}`))
  page.on('request', (request) => {
    if (request.url() !== PAGE && !request.url().startsWith('data:')) flaws.push(`asked for ${request.url()}`)
  })
  await page.goto(PAGE, { waitUntil: 'load' })
  flaws.push(...((await page.evaluate(LAYOUT)) as string[]))
  if (values.shots !== undefined) {
    mkdirSync(values.shots, { recursive: true })
    await page.screenshot({ path: join(values.shots, `${name}.png`), fullPage: true })
  }
  await page.close()
  return flaws
}
