import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { findChromium } from '../find-chromium.js'
import { panelQueries } from './queries.js'

/** Which panels are worth a look in the guide, by dashboard. */
const SHOWN: Readonly<Record<string, readonly string[]>> = {
  stampede: ['Corral: stampedes / Readers who shared a fill', 'Corral: stampedes / Fills'],
}
const SECONDS = 60

/**
 * Takes pictures of Prometheus' own graph page, with queries of the dashboards as they stand in `ops/grafana`. It is not Grafana, which is to be
 * had neither from Debian nor from npm: what it shows is that the queries draw something.
 */
export async function takePictures(prometheusUrl: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const browser = await chromium.launch(findChromium())
  try {
    for (const [name, places] of Object.entries(SHOWN)) {
      const shown = panelQueries().filter(({ place }) => places.includes(place))
      const parameters = shown.flatMap(({ expression }, at): [string, string][] => [
        [`g${at}.expr`, expression],
        [`g${at}.tab`, '0'],
        [`g${at}.range_input`, `${SECONDS}s`],
      ])
      const page = await browser.newPage({ viewport: { width: 900, height: 1_600 } })
      await page.goto(`${prometheusUrl}/graph?${new URLSearchParams(parameters)}`, { waitUntil: 'networkidle' })
      // The field shows two lines of a query. As text: what runs in the page has been through no compiler.
      await page.evaluate(
        "for (const field of document.querySelectorAll('textarea')) field.style.height = field.scrollHeight + 'px'",
      )
      await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
      await page.close()
    }
  } finally {
    await browser.close()
  }
}
