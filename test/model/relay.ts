import { announce } from './bus.js'
import { type Moves, nameOf, nameOfPlace } from './moves.js'
import { emptyNear, leaveFlights } from './process.js'
import { hasBus, type Protocol } from './scope.js'
import { clonePlace, type Fence, type Process, type State, valueAt } from './state.js'
import { fenceOne, fenceOrder } from './writing.js'

/** Nobody's number: the relay publishes under a name of its own. */
const RELAY = 14

/** jobs/relay.ts, engine/pending-fences.ts and engine/epoch.ts: what finishes what writers could not. */
export function relayMoves(protocol: Protocol, state: State, moves: Moves): void {
  pendingMoves(protocol, state, moves)
  if (!protocol.scope.relay || !protocol.rules.relay) return
  commitMoves(protocol, state, moves)
  epochMoves(protocol, state, moves)
  if (!state.hasFailedOver || !protocol.rules.relayReplays) return
  moves.work(
    () => 'the relay notices the new primary, and goes back',
    (next) => {
      next.hasFailedOver = false
      next.relaying = undefined
      next.unrelayed = everyCommit(next)
    },
  )
}

function pendingMoves(protocol: Protocol, state: State, moves: Moves): void {
  if (!protocol.rules.pendingIsSentAgain) return
  for (const [at, process] of state.processes.entries()) {
    const [fence] = process.pending
    if (!process.alive || fence === undefined) continue
    let outcome = ''
    moves.work(
      () => `the cache receives the pending fence of ${nameOfPlace(fence.place)} from ${nameOf(at)}: ${outcome}`,
      (next) => {
        const own = next.processes[at] as Process
        outcome = fenceOne(protocol, next, fence)
        own.pending = own.pending.slice(1)
        announce(next, at, { version: fence.version, absent: false, raises: false }, false)
      },
    )
  }
}

function commitMoves(protocol: Protocol, state: State, moves: Moves): void {
  const { relaying } = state
  const order = fenceOrder(protocol, state, true)
  if (relaying === undefined) {
    for (let commit = 1; commit < state.history.length; commit++) {
      if ((state.unrelayed & (1 << commit)) === 0) continue
      relayFence(protocol, { commit, at: 0 }, order, moves)
    }
    return
  }
  relayFence(protocol, relaying, order, moves)
}

function relayFence(
  protocol: Protocol,
  { commit, at }: { readonly commit: number; readonly at: number },
  order: readonly number[],
  moves: Moves,
): void {
  const place = order[at] as number
  const version = protocol.scope.stamped === false ? null : commit
  const fence: Fence = { place, version, xid: commit }
  let outcome = ''
  moves.work(
    () => `the relay fences ${nameOfPlace(place)} up to version ${commit}: ${outcome}`,
    (next) => {
      outcome = fenceOne(protocol, next, fence)
      next.relaying = at + 1 < order.length ? { commit, at: at + 1 } : undefined
      if (next.relaying) return
      next.unrelayed &= ~(1 << commit)
      const { absent } = valueAt(next, commit)
      if (hasBus(protocol.scope)) announce(next, RELAY, { version, absent, raises: version !== null }, false)
    },
  )
}

function epochMoves(protocol: Protocol, state: State, moves: Moves): void {
  if (!protocol.rules.epochRises) return
  if (state.unepoched) {
    moves.work(
      () => `the relay raises the epoch to ${state.epoch + 1}`,
      (next) => {
        next.unepoched = false
        next.epoch++
      },
    )
  }
  for (const [at, process] of state.processes.entries()) {
    if (!process.alive || process.epoch === state.epoch) continue
    moves.work(
      () => `${nameOf(at)} learns of epoch ${state.epoch}`,
      (next) => {
        const own = next.processes[at] as Process
        own.epoch = next.epoch
        leaveFlights(next, at)
        emptyNear(own)
      },
    )
  }
}

/** Those that are told row by row. */
function everyCommit(state: State): number {
  const bulk = state.writers.some(({ writes }) => writes.includes('bulk'))
  if (bulk) throw new Error('a scope has either bulk statements or a failover')
  return state.history.reduce((bits, _, commit) => (commit === 0 ? bits : bits | (1 << commit)), 0)
}

/** What the primary of the store has not yet told its replica is lost with it. */
export function replicaMoves(state: State, moves: Moves): void {
  if (state.budget.failover === 0) return
  const { replica } = state
  if (JSON.stringify(replica) !== JSON.stringify(state.places)) {
    moves.choice(
      () => 'the replica of the cache catches up',
      (next) => {
        next.replica = next.places.map(clonePlace)
      },
    )
  }
  moves.choice(
    () => 'the primary of the cache is lost, and its replica takes over',
    (next) => {
      next.budget.failover--
      next.places = replica.map(clonePlace)
      next.hasFailedOver = true
    },
  )
}
