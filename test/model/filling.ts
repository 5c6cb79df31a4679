import { ask, begunReaders, drop, fillOf, isCovered, storeFill, waiting } from './fills.js'
import { type Moves, nameOf, nameOfPlace } from './moves.js'
import { accept, isBelow, judge, remember } from './process.js'
import type { Protocol } from './scope.js'
import { answer, rowIn, serve } from './serving.js'
import { askStandby, mayAskStandby, standbyMoves } from './standby.js'
import { current, type Entry, type Fill, type Place, type Process, type State, type Value, valueAt } from './state.js'
import * as store from './store.js'

/** engine/filler.ts, and the making of copies in engine/hot-copies.ts: lease, load, store. */
export function fillMoves(protocol: Protocol, state: State, moves: Moves): void {
  for (const { token } of state.fills) fillMovesOf(protocol, state, token, moves)
}

function fillMovesOf(protocol: Protocol, state: State, token: number, moves: Moves): void {
  const fill = fillOf(state, token)
  const name = nameOf(fill.process)
  const place = nameOfPlace(fill.place)
  switch (fill.step) {
    case 'wants':
      leaseMoves(protocol, state, fill, moves)
      return
    case 'reads':
      moves.work(
        () => `${name} reads the entry to copy it`,
        (next) => {
          readToCopy(protocol, next, fillOf(next, token))
        },
      )
      return
    case 'leased':
      if (mayAskStandby(protocol, state, fill)) {
        moves.work(
          () => `${name} loads ${rowIn(valueAt(state, state.standby))} from the standby`,
          (next) => {
            askStandby(next, fillOf(next, token))
          },
        )
        return
      }
      moves.work(
        () => `${name} loads ${rowIn(current(state))}`,
        (next) => {
          load(next, fillOf(next, token))
        },
      )
      return
    case 'loaded':
      moves.work(
        () => `${name} gets what it has loaded, and sends it to the cache`,
        (next) => arrive(protocol, next, fillOf(next, token)),
      )
      return
    case 'sent': {
      let outcome = ''
      moves.work(
        () => `the cache receives ${rowIn(fill.value as Value)} from ${name} for ${place}: ${outcome}`,
        (next) => {
          const result = land(protocol, next, fillOf(next, token))
          outcome = result.outcome
          return result.broken
        },
      )
      return
    }
    case 'loaded-standby':
    case 'sent-standby':
      standbyMoves(protocol, state, fill, moves)
      return
    case 'stored':
      moves.work(
        () => `${name} hears that its fill has landed`,
        (next) => {
          keep(protocol, next, fillOf(next, token))
        },
      )
  }
}

function leaseMoves(protocol: Protocol, state: State, fill: Fill, moves: Moves): void {
  const { token, reason } = fill
  const name = nameOf(fill.process)
  const what = nameOfPlace(fill.place)
  const place = state.places[fill.place] as Place
  if (reason === 'refresh' && !protocol.rules.refreshNeedsLease) {
    moves.work(
      () => `${name} refreshes without a lease`,
      (next) => {
        fillOf(next, token).step = 'leased'
      },
    )
    return
  }
  if (reason === 'copy' && !protocol.rules.copyLeasesFirst && fill.value === undefined) {
    moves.work(
      () => `${name} reads the entry to copy it`,
      (next) => {
        readToCopy(protocol, next, fillOf(next, token))
      },
    )
    return
  }
  const outcome = store.lease({ ...place }, token, fill.seen, false)
  if (outcome === 'held') {
    moves.work(
      () => `${name} finds the lease of ${what} taken, and waits no longer`,
      (next) => {
        giveUp(next, fillOf(next, token))
      },
    )
    moves.choice(
      () => `${name} takes over the lease of ${what}, whose time is up`,
      (next) => {
        takeLease(next, fillOf(next, token))
      },
    )
    return
  }
  if (outcome === 'leased') {
    moves.work(
      () => `${name} takes the lease of ${what}`,
      (next) => {
        takeLease(next, fillOf(next, token))
      },
    )
    return
  }
  moves.work(
    () => `${name} finds ${what} changed when it asks for the lease`,
    (next) => judgeChanged(protocol, next, fillOf(next, token)),
  )
}

function takeLease(state: State, fill: Fill): void {
  const place = state.places[fill.place] as Place
  store.lease(place, fill.token, fill.seen, true)
  fill.covers = begunReaders(state, fill.process)
  if (fill.reason !== 'copy') fill.step = 'leased'
  else fill.step = fill.value === undefined ? 'reads' : 'sent'
}

/** Waiting took too long, or somebody else refreshes or copies already. */
function giveUp(state: State, fill: Fill): void {
  if (fill.reason === 'miss') {
    fill.storesNothing = true
    fill.step = 'leased'
  } else drop(state, fill)
}

function judgeChanged(protocol: Protocol, state: State, fill: Fill): string | undefined {
  if (fill.reason !== 'miss') {
    drop(state, fill)
    return undefined
  }
  const process = state.processes[fill.process] as Process
  const found = state.places[fill.place]?.entry
  fill.covers = begunReaders(state, fill.process)
  const verdict = judge(protocol, process, found)
  if (verdict === 'usable') return answer(protocol, state, fill, found as Entry, 'cache')
  fill.seen = found
  fill.useless = verdict === 'other-epoch'
  return undefined
}

function readToCopy(protocol: Protocol, state: State, fill: Fill): void {
  const process = state.processes[fill.process] as Process
  const found = state.places[0]?.entry
  if (found === undefined || found.absent || judge(protocol, process, found) !== 'usable') {
    store.release(state.places[fill.place] as Place, fill.token)
    drop(state, fill)
    return
  }
  fill.value = { of: found.of, absent: false }
  fill.epoch = found.epoch
  fill.step = protocol.rules.copyLeasesFirst ? 'sent' : 'wants'
}

function load(state: State, fill: Fill): void {
  ask(state, fill)
  fill.value = current(state)
  fill.step = 'loaded'
}

/** Readers are answered; storing it is not their business. */
function arrive(protocol: Protocol, state: State, fill: Fill): string | undefined {
  const process = state.processes[fill.process] as Process
  const value = fill.value as Value
  if (!protocol.rules.fillCarriesEpochOfLoad) fill.epoch = process.epoch
  if (accept(protocol, process, value, fill.before) === 'again') {
    for (const reader of waiting(state, fill)) reader.step = isCovered(state, fill, reader) ? 'loads' : 'again'
    fill.joinable = false
    if (fill.storesNothing) drop(state, fill)
    else fill.step = 'sent'
    return undefined
  }
  fill.step = 'sent'
  return answer(protocol, state, fill, value, 'database')
}

function land(protocol: Protocol, state: State, fill: Fill): { outcome: string; broken: string | undefined } {
  const { scope } = protocol
  const { outcome, backwards } = storeFill(protocol, state, fill, { standbyAt: null, isTooLate: false })
  let broken = backwards
  for (const reader of state.readers.filter((each) => each.fill === fill.token && each.step === 'landing')) {
    if (outcome === 'filled') broken ??= serve(state, state.readers.indexOf(reader), reader.value as Value, 'database')
    else reader.step = 'again'
  }
  const isAlive = state.processes[fill.process]?.alive
  if (outcome === 'filled' && scope.near && isAlive && fill.reason !== 'copy') fill.step = 'stored'
  else drop(state, fill)
  return { outcome, broken }
}

function keep(protocol: Protocol, state: State, fill: Fill): void {
  const process = state.processes[fill.process] as Process
  const value = fill.value as Value
  if (!isBelow(protocol, process.floor, value, true)) remember(protocol, process, value, fill.generation)
  drop(state, fill)
}
