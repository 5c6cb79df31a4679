import { Buffer } from 'node:buffer'
import type { LeaseReply, StoredBytes, StoredState } from '../../../src/core/ports.js'
import { WIRE } from '../../../src/core/wire.js'

/** What is left of a time is told in steps of so much: the real server's goes on while the model's stands still. */
const STEP_MS = 2_500
const IS_FILLED = new RegExp(`^${WIRE.magic}\\d{${WIRE.filledAt.width}}`)

/** What lies under a key, without the time at which it was filled, which is the store's own. */
export function told(bytes: StoredBytes | null | undefined): string {
  if (bytes === null || bytes === undefined) return 'nothing'
  const text = Buffer.from(bytes).toString('latin1')
  return JSON.stringify(IS_FILLED.test(text) ? text.slice(WIRE.checksum.at) : text)
}

export function toldLease(reply: LeaseReply | undefined): string {
  switch (reply?.outcome) {
    case 'changed':
      return `changed to ${told(reply.bytes)}`
    case 'failed':
      return `failed ${reply.code}`
    case 'held':
      return `held by ${reply.token} since ${steps(reply.heldForMs)} for ${steps(reply.remainingMs)}`
    default:
      return String(reply?.outcome)
  }
}

export function toldState({ bytes, remainingMs, fence, lease, failure }: StoredState): string {
  const life = remainingMs === null ? 'none' : steps(remainingMs)
  const held = lease === null ? 'none' : `${lease.token} for ${steps(lease.remainingMs)}`
  return `holds ${told(bytes)}, life ${life}, fence ${fence}, lease ${held}, failure ${failure}`
}

/** To the next one: all times are whole numbers of them, but for what the real server has taken since. */
function steps(ms: number): number {
  return Math.round(ms / STEP_MS)
}
