import { describe, expect, it } from 'vitest'
import { Background } from '../../../src/engine/background.js'
import { ManualClock, settle } from '../../support/manual-clock.js'
import { Recorder } from '../../support/recorder.js'

describe('Background', () => {
  it('turns a rejection into an event', async () => {
    const events = new Recorder()
    const background = new Background(events.emit)
    background.run('fill', () => Promise.reject(new Error('away')))
    background.run('refresh', () => {
      throw new Error('at once')
    })
    await background.idle()
    expect(events.of('background.failed').map(({ task }) => task)).toEqual(['refresh', 'fill'])
    expect(background.size).toBe(0)
  })

  it('is idle when all work has ended, and the work that it started', async () => {
    const clock = new ManualClock()
    const background = new Background(() => {})
    const done: string[] = []
    background.run('refresh', async () => {
      await clock.sleep(10)
      done.push('refresh')
      background.run('fill', async () => {
        await clock.sleep(10)
        done.push('fill')
      })
    })
    let idle = false
    const waiting = background.idle().then(() => {
      idle = true
    })
    await clock.advance(10)
    expect(background.size).toBe(1)
    expect(idle).toBe(false)
    await clock.advance(10)
    await waiting
    expect(done).toEqual(['refresh', 'fill'])
  })

  it('is idle at once when there is nothing to do', async () => {
    await new Background(() => {}).idle()
    await settle()
  })
})
