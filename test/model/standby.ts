import { ask, drop, fillOf, storeFill, waiting } from './fills.js'
import { type Moves, nameOf } from './moves.js'
import { accept, isBelow, remember } from './process.js'
import type { Protocol } from './scope.js'
import { answer, rowIn, serve } from './serving.js'
import { type Fill, NONE, type Process, type State, type Value, valueAt } from './state.js'

/** engine/replica-fill.ts: what a fill does that has asked a standby. */
export function standbyMoves(protocol: Protocol, state: State, fill: Fill, moves: Moves): void {
  const { token } = fill
  const name = nameOf(fill.process)
  if (fill.step === 'loaded-standby') {
    const then = isBelievable(protocol, state, fill) ? 'and sends it to the cache' : 'and does not believe it'
    moves.work(
      () => `${name} gets what the standby has shown, ${then}`,
      (next) => arriveFromStandby(protocol, next, fillOf(next, token)),
    )
    return
  }
  let outcome = ''
  moves.work(
    () => `the cache receives ${rowIn(fill.value as Value)} from ${name}, by its standby: ${outcome}`,
    (next) => {
      const result = landFromStandby(protocol, next, fillOf(next, token))
      outcome = result.outcome
      return result.broken
    },
  )
}

/** Once for each lease; then the primary is asked. */
export function mayAskStandby({ scope }: Protocol, state: State, fill: Fill): boolean {
  const { trusted, horizon } = state.processes[fill.process] as Process
  return scope.standby === true && !fill.storesNothing && !fill.askedStandby && trusted && horizon !== NONE
}

export function askStandby(state: State, fill: Fill): void {
  ask(state, fill)
  fill.askedStandby = true
  fill.horizon = (state.processes[fill.process] as Process).horizon
  fill.value = valueAt(state, state.standby)
  fill.step = 'loaded-standby'
}

function isBelievable(protocol: Protocol, state: State, fill: Fill): boolean {
  const { rules } = protocol
  const value = fill.value as Value
  if (rules.standbyMustShowHorizon && value.of < fill.horizon) return false
  const { floor } = state.processes[fill.process] as Process
  return !rules.standbyIsHeldAgainstFloor || !isBelow(protocol, floor, value, true)
}

function arriveFromStandby(protocol: Protocol, state: State, fill: Fill): string | undefined {
  if (!isBelievable(protocol, state, fill)) {
    fill.step = 'leased'
    return undefined
  }
  fill.step = 'sent-standby'
  if (protocol.rules.standbyShowsOnlyStored) return undefined
  accept(protocol, state.processes[fill.process] as Process, fill.value as Value, fill.before)
  return answer(protocol, state, fill, fill.value as Value, 'database')
}

/** Only what was stored is shown: it has been held against the fences then. */
function landFromStandby(
  protocol: Protocol,
  state: State,
  fill: Fill,
): { outcome: string; broken: string | undefined } {
  const process = state.processes[fill.process] as Process
  const value = fill.value as Value
  const isTooLate = protocol.rules.standbyFillHasItsTime && state.forgotten > fill.horizon
  const { outcome, backwards } = storeFill(protocol, state, fill, { standbyAt: value.of, isTooLate })
  const isLow = protocol.rules.standbyIsHeldAgainstFloor && isBelow(protocol, process.floor, value, true)
  if (outcome !== 'filled' || isLow || !process.alive) {
    if (process.alive && waiting(state, fill).length + Number(fill.reason !== 'miss') > 0) fill.step = 'leased'
    else drop(state, fill)
    return { outcome, broken: backwards }
  }
  accept(protocol, process, value, fill.before)
  remember(protocol, process, value, fill.generation)
  const readers = waiting(state, fill)
  drop(state, fill)
  let broken = backwards
  for (const reader of readers) broken ??= serve(state, state.readers.indexOf(reader), value, 'database')
  return { outcome, broken }
}
