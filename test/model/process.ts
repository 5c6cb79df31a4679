import type { Protocol } from './scope.js'
import { type Entry, type Floor, NONE, type Process, type State, type Value } from './state.js'

/** The stamp by which the protocol tells values apart; what it has none for, it cannot order. */
export function versionOf({ scope }: Protocol, value: Value): number | null {
  return scope.stamped === false || value.absent ? null : value.of
}

/** `judge` of policy/verdict.ts, as far as it tells entries apart that may be served from those that may not. */
export function judge(
  protocol: Protocol,
  process: Process,
  entry: Entry | undefined,
): 'usable' | 'nothing' | 'other-epoch' | 'expired' | 'below-floor' {
  if (entry === undefined) return 'nothing'
  if (entry.epoch !== process.epoch && protocol.rules.epochIsJudged) return 'other-epoch'
  if (isBelow(protocol, process.floor, entry, false)) return 'below-floor'
  return entry.expired ? 'expired' : 'usable'
}

/** @param isLoaded the database itself has said so just now. */
export function isBelow(protocol: Protocol, floor: Floor | undefined, value: Value, isLoaded: boolean): boolean {
  if (floor === undefined || !protocol.rules.floors) return false
  if (value.absent) return !floor.absent && (isLoaded || protocol.rules.floorRefusesAbsence)
  if (floor.isUnordered) return !isLoaded
  const version = versionOf(protocol, value)
  return version !== null && version < floor.version
}

/** `Floors.raise`. */
export function raiseFloor(process: Process, version: number, absent: boolean): void {
  const { floor } = process
  const isKnown = floor && version === floor.version && absent === floor.absent && !floor.isUnordered
  if (floor && (version < floor.version || isKnown)) return
  process.floor = { version, absent }
}

/** `Floors.seeAbsence`: what was shown before may not come back, and nobody has said how new that was. */
function seeAbsence({ rules }: Protocol, process: Process): void {
  const { floor } = process
  if (!rules.absenceIsAFloor) {
    if (floor && !floor.absent) process.floor = { version: floor.version + 1, absent: true }
  } else if (!floor?.isUnordered) {
    const version = floor === undefined || floor.absent ? (floor?.version ?? 0) : floor.version + 1
    process.floor = { version, absent: true, isUnordered: true }
  }
}

/** `L1.outdate`. */
export function outdate(protocol: Protocol, process: Process, version: number | null): void {
  const { near } = process
  if (near === undefined) return
  const own = versionOf(protocol, near)
  if (version !== null && own !== null && own >= version) return
  process.near = undefined
}

/** `Invalidation.apply`: this process has learned of a change. Null: of one without a version. */
export function apply(
  protocol: Protocol,
  state: State,
  at: number,
  change: { readonly version: number | null; readonly absent: boolean; readonly raises: boolean },
): void {
  const process = state.processes[at] as Process
  if (change.raises && change.version !== null) raiseFloor(process, change.version, change.absent)
  leaveFlights(state, at)
  process.generation++
  outdate(protocol, process, change.version)
}

/** `Singleflight.forget`: nobody may join any more what began before. */
export function leaveFlights(state: State, at: number): void {
  for (const fill of state.fills) if (fill.process === at) fill.joinable = false
}

/** `L1.clear`: something may have been missed. */
export function emptyNear(process: Process): void {
  process.near = undefined
  process.generation++
  process.horizon = NONE
}

/** `Filler.#accept`: holds a load against what this process has shown or written. `again`: it has to be made again. */
export function accept(
  protocol: Protocol,
  process: Process,
  value: Value,
  before: Floor | undefined,
): 'accepted' | 'again' {
  const { rules } = protocol
  const isLow = isBelow(protocol, process.floor, value, true)
  if (isLow && process.floor !== before && rules.floorsOutlastLoads) return 'again'
  if (value.absent) {
    seeAbsence(protocol, process)
    if (rules.shownOutdatesNear) outdate(protocol, process, null)
    return 'accepted'
  }
  if (isLow) process.floor = undefined
  const version = versionOf(protocol, value)
  if (version !== null) raiseFloor(process, version, false)
  if (rules.shownOutdatesNear) outdate(protocol, process, isLow ? null : version)
  return 'accepted'
}

/** `Reader.remember`: keeps in L1 what was served from the cache, unless something was invalidated since it was asked for. */
export function remember(protocol: Protocol, process: Process, value: Value, generation: number): void {
  if (!protocol.scope.near) return
  if (protocol.rules.keepsOnlyWhatStayed && process.generation !== generation) return
  process.near = { of: value.of, absent: value.absent }
}
