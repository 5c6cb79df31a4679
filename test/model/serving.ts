import { drop, isCovered, startCopy, waiting } from './fills.js'
import { nameOf } from './moves.js'
import type { Protocol } from './scope.js'
import type { Fill, Process, Reader, State, Value } from './state.js'

/** The end of a read: what it shows is held against what was known when it began. */
export function serve(
  state: State,
  at: number,
  value: Value,
  from: 'memory' | 'cache' | 'database',
): string | undefined {
  const reader = state.readers[at] as Reader
  const process = state.processes[reader.process] as Process
  // Another process' memory follows within a message's time, which is not promised to be none.
  const acknowledged = from === 'memory' ? 0 : reader.acknowledged
  const name = readerName(state, at)
  const shown = value.absent ? absentSince(state, Math.max(acknowledged, reader.known)) : value.of
  if (reader.viaCopy && !value.absent) startCopy(state, reader.process, reader.heldInCopy)
  if (value.absent) process.sawAbsence = true
  const { known } = reader
  rest(state, at)
  reader.left--
  process.shown = Math.max(process.shown, shown ?? 0)
  const seen = shown ?? Math.max(acknowledged, known) - 1
  const said = `${name} shows ${rowIn(value)} from ${from}`
  if (seen < known) return `${said}, though it had to show version ${known} or a later one`
  if (seen < acknowledged) return `${said}, though version ${acknowledged} had been acknowledged before it began`
  return undefined
}

/** The earliest commit from `least` on that left no row: a reader who is told of none cannot know which it was. */
function absentSince(state: State, least: number): number | undefined {
  const at = state.history.findIndex((hasRow, of) => of >= least && !hasRow)
  return at < 0 ? undefined : at
}

function rest(state: State, at: number): void {
  const reader = state.readers[at] as Reader
  // Its next read begins after whatever has been asked until now.
  for (const fill of state.fills) fill.covers &= ~(1 << at)
  reader.step = 'idle'
  reader.acknowledged = 0
  reader.known = 0
  reader.held = undefined
  reader.viaCopy = false
  reader.heldInCopy = undefined
  reader.generation = 0
  reader.before = undefined
  reader.value = undefined
  reader.fill = 0
}

/** Whoever reads, as stories call them. */
export function readerName(state: State, at: number): string {
  const { process } = state.readers[at] as Reader
  const fellows = state.readers
    .map((reader, number) => ({ ...reader, number }))
    .filter((each) => each.process === process)
  return fellows.length === 1
    ? nameOf(process)
    : `${nameOf(process)}'s reader ${fellows.findIndex((each) => each.number === at) + 1}`
}

/** What a value says, as stories call it. */
export function rowIn({ of, absent }: Value): string {
  return absent ? 'that there is no row' : `version ${of}`
}

/** Those who began before the question was asked are served; the others have to wait and see whether the fill lands. */
export function answer(
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
