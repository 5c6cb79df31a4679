import { versionOf } from './process.js'
import type { Protocol } from './scope.js'
import { type Entry, type Fill, NONE, type Place, type Process, type Reader, type State, type Value } from './state.js'
import * as store from './store.js'

export function startFill(
  state: State,
  start: Pick<Fill, 'process' | 'reason' | 'place'> & { readonly seen: Entry | undefined },
): Fill {
  const token = ++state.tokens
  const fill: Fill = {
    ...start,
    token,
    step: 'wants',
    storesNothing: false,
    useless: false,
    generation: 0,
    before: undefined,
    epoch: 0,
    value: undefined,
    askedStandby: false,
    horizon: NONE,
    joinable: start.reason === 'miss',
    covers: 0,
  }
  state.fills.push(fill)
  return fill
}

/** Behind its reader, and one at a time in each process. */
export function startCopy(state: State, process: number, seen: Entry | undefined): void {
  if (state.fills.some((fill) => fill.process === process && fill.reason === 'copy')) return
  startFill(state, { process, reason: 'copy', place: 1 + process, seen })
}

/** The floor, the generation and the epoch are those of just before: the statement may take its snapshot as soon as it is sent. */
export function ask(state: State, fill: Fill): void {
  const process = state.processes[fill.process] as Process
  fill.before = process.floor
  fill.generation = process.generation
  fill.epoch = process.epoch
  fill.covers = begunReaders(state, fill.process)
}

/** FILL, and whether it has put an older row in the place of a newer one. */
export function storeFill(
  protocol: Protocol,
  state: State,
  fill: Fill,
  from: Pick<store.StoredFill, 'standbyAt' | 'isTooLate'>,
): { outcome: ReturnType<typeof store.fill>; backwards: string | undefined } {
  const { scope, rules } = protocol
  const value = fill.value as Value
  const place = state.places[fill.place] as Place
  const before = place.entry
  const hasNoLease = fill.reason === 'refresh' && !rules.refreshNeedsLease
  const outcome = store.fill(
    place,
    {
      ...from,
      token: fill.token,
      version: versionOf(protocol, value),
      entry: { of: value.of, absent: value.absent, epoch: fill.epoch, expired: false },
      replacesNewer: fill.useless,
    },
    (entry) => versionOf(protocol, entry),
    hasNoLease ? { ...rules, fillNeedsItsLease: false } : rules,
  )
  const isBackwards = outcome === 'filled' && before !== undefined && !before.absent && before.of > value.of
  const isPromised = scope.promises.includes('entries rise')
  return {
    outcome,
    backwards: isBackwards && isPromised ? `version ${value.of} has replaced version ${before.of}` : undefined,
  }
}

export function drop(state: State, fill: Fill): void {
  state.fills = state.fills.filter((each) => each !== fill)
}

export function fillOf(state: State, token: number): Fill {
  return state.fills.find((fill) => fill.token === token) as Fill
}

/** Readers of its process who wait for it. */
export function waiting(state: State, fill: Fill): Reader[] {
  return state.readers.filter((reader) => reader.fill === fill.token && reader.step === 'waits')
}

/** As bits: the readers of a process who are reading. */
export function begunReaders(state: State, process: number): number {
  return state.readers.reduce(
    (bits, reader, at) => (reader.process === process && reader.step !== 'idle' ? bits | (1 << at) : bits),
    0,
  )
}

export function isCovered(state: State, fill: Fill, reader: Reader): boolean {
  return (fill.covers & (1 << state.readers.indexOf(reader))) !== 0
}
