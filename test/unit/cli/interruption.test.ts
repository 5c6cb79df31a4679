import { expect, it } from 'vitest'
import { heedSignals, Interrupted, type SignalName } from '../../../src/cli/interruption.js'
import { ManualClock } from '../../support/manual-clock.js'

function heed() {
  const clock = new ManualClock()
  const exits: number[] = []
  let send: (name: SignalName) => void = () => {}
  const heeded = heedSignals(
    {
      listen: (listener) => {
        send = listener
        return () => {
          send = () => {}
        }
      },
      exit: (code) => exits.push(code),
    },
    clock,
  )
  return { ...heeded, clock, exits, send: (name: SignalName) => send(name) }
}

it('asks for the end once, and ends at once when it is asked again', async () => {
  const { signal, send, exits, clock } = heed()
  expect(signal.aborted).toBe(false)
  send('SIGTERM')
  expect(signal.reason).toBeInstanceOf(Interrupted)
  expect(signal.reason.signalName).toBe('SIGTERM')
  await clock.advance(1_000)
  send('SIGINT')
  expect(exits).toEqual([130])
})

it('takes the same signal from two senders for one', async () => {
  const { send, exits, clock } = heed()
  send('SIGINT')
  send('SIGINT')
  await clock.advance(999)
  send('SIGINT')
  expect(exits).toEqual([])
})

it('listens no longer than the command runs', () => {
  const { send, signal, stop } = heed()
  stop()
  send('SIGINT')
  expect(signal.aborted).toBe(false)
})
