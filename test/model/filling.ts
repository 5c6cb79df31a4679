import { type Moves, nameOf, nameOfPlace } from './moves.js'
import { accept, isBelow, judge, remember, versionOf } from './process.js'
import type { Protocol } from './scope.js'
import { loadable, rowIn, serve } from './serving.js'
import type { Entry, Fill, Place, Process, Reader, State, Value } from './state.js'
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
      return leaseMoves(protocol, state, fill, moves)
    case 'reads':
      moves.work(
        () => `${name} reads the entry to copy it`,
        (next) => readToCopy(protocol, next, fillOf(next, token)),
      )
      return
    case 'leased':
      moves.work(
        () => `${name} loads ${rowIn(loadable(protocol, state))}`,
        (next) => load(protocol, next, fillOf(next, token)),
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
    case 'stored':
      moves.work(
        () => `${name} hears that its fill has landed`,
        (next) => keep(protocol, next, fillOf(next, token)),
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
      (next) => readToCopy(protocol, next, fillOf(next, token)),
    )
    return
  }
  const outcome = store.lease({ ...place }, token, fill.seen, false)
  if (outcome === 'held') {
    moves.work(
      () => `${name} finds the lease of ${what} taken, and waits no longer`,
      (next) => giveUp(next, fillOf(next, token)),
    )
    moves.choice(
      () => `${name} takes over the lease of ${what}, whose time is up`,
      (next) => takeLease(next, fillOf(next, token)),
    )
    return
  }
  if (outcome === 'leased') {
    moves.work(
      () => `${name} takes the lease of ${what}`,
      (next) => takeLease(next, fillOf(next, token)),
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
  if (fill.reason !== 'miss') return drop(state, fill)
  fill.storesNothing = true
  fill.step = 'leased'
}

function judgeChanged(protocol: Protocol, state: State, fill: Fill): string | undefined {
  if (fill.reason !== 'miss') return void drop(state, fill)
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
    return drop(state, fill)
  }
  fill.value = { of: found.of, absent: false }
  fill.epoch = found.epoch
  fill.step = protocol.rules.copyLeasesFirst ? 'sent' : 'wants'
}

/** The floor, the generation and the epoch are those of just before: the statement may take its snapshot as soon as it is sent. */
function load(protocol: Protocol, state: State, fill: Fill): void {
  const process = state.processes[fill.process] as Process
  fill.before = process.floor
  fill.generation = process.generation
  fill.epoch = process.epoch
  fill.covers = begunReaders(state, fill.process)
  fill.value = loadable(protocol, state)
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

/** Those who began before the question was asked are served; the others have to wait and see whether the fill lands. */
function answer(
  protocol: Protocol,
  state: State,
  fill: Fill,
  value: Value,
  from: 'cache' | 'database',
): string | undefined {
  let broken: string | undefined
  const stores = from === 'database' && !fill.storesNothing
  fill.joinable = false
  for (const reader of waiting(state, fill)) {
    const at = state.readers.indexOf(reader)
    if (isCovered(state, fill, reader) || !protocol.rules.joinsOnlyWhatSaw) {
      broken ??= serve(state, at, value, from)
    } else if (stores) {
      reader.value = value
      reader.step = 'landing'
    } else reader.step = 'again'
  }
  if (!stores) drop(state, fill)
  return broken
}

function land(protocol: Protocol, state: State, fill: Fill): { outcome: string; broken: string | undefined } {
  const value = fill.value as Value
  const { scope, rules } = protocol
  const before = state.places[fill.place]?.entry
  const hasNoLease = fill.reason === 'refresh' && !rules.refreshNeedsLease
  const outcome = store.fill(
    state.places[fill.place] as Place,
    {
      token: fill.token,
      version: versionOf(protocol, value),
      entry: { ...value, epoch: fill.epoch, expired: false },
      standbyAt: scope.standby ? value.of : null,
      replacesNewer: fill.useless,
    },
    (entry) => versionOf(protocol, entry),
    hasNoLease ? { ...rules, fillNeedsItsLease: false } : rules,
  )
  const isBackwards = outcome === 'filled' && before !== undefined && !before.absent && before.of > value.of
  let broken: string | undefined
  if (isBackwards && scope.promises.includes('entries rise'))
    broken = `version ${value.of} has replaced version ${before.of}`
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

function drop(state: State, fill: Fill): void {
  state.fills = state.fills.filter((each) => each !== fill)
}

function fillOf(state: State, token: number): Fill {
  return state.fills.find((fill) => fill.token === token) as Fill
}

function waiting(state: State, fill: Fill): Reader[] {
  return state.readers.filter((reader) => reader.fill === fill.token && reader.step === 'waits')
}

/** As bits: the readers of a process who are reading. */
function begunReaders(state: State, process: number): number {
  return state.readers.reduce(
    (bits, reader, at) => (reader.process === process && reader.step !== 'idle' ? bits | (1 << at) : bits),
    0,
  )
}

function isCovered(state: State, fill: Fill, reader: Reader): boolean {
  return (fill.covers & (1 << state.readers.indexOf(reader))) !== 0
}
