import { expect, it } from 'vitest'
import { ProgressBar, progressLine } from '../../../src/cli/progress-bar.js'
import { ManualClock } from '../../support/manual-clock.js'

it('says how far, how fast and how long still', () => {
  expect(progressLine({ done: 500, total: 2_000, note: '3 failed' }, 10_000)).toBe(
    '[======                  ]  25 %  500 of 2,000  50/s  30 s left  3 failed',
  )
  expect(progressLine({ done: 500, total: undefined }, 10_000)).toBe('500  50/s')
  expect(progressLine({ done: 0, total: 0 }, 0)).toBe('0 of 0  0/s')
})

it('is drawn ten times a second, cut to the terminal, and taken away', async () => {
  const clock = new ManualClock()
  let written = ''
  const output = {
    write: (text: string) => {
      written += text
    },
    isTTY: true,
    columns: 20,
  }
  const bar = new ProgressBar(output, clock)
  for (let at = 0; at < 10; at++) {
    bar.show({ done: at, total: 10 })
    await clock.advance(50)
  }
  expect(written.split('\r').length - 1).toBe(5)
  for (const line of written.split('\r')) expect(line.replace('\u001b[K', '').length).toBeLessThan(20)
  written = ''
  bar.clear()
  bar.clear()
  expect(written).toBe('\r\u001b[K')
  const quiet = new ProgressBar({ ...output, isTTY: false }, clock)
  quiet.show({ done: 1, total: 2 })
  quiet.clear()
  expect(written).toBe('\r\u001b[K')
})
