import { startFill } from './fills.js'
import type { Moves } from './moves.js'
import { accept, apply, judge, outdate, raiseFloor, remember, versionOf } from './process.js'
import type { Protocol } from './scope.js'
import { readerName, rowIn, serve } from './serving.js'
import { current, type Entry, type Process, type Reader, type State, type Value, valueAt } from './state.js'

/** engine/reader.ts: look, judge, serve, or fill. One read at a time for each reader. */
export function readerMoves(protocol: Protocol, state: State, moves: Moves): void {
  for (const [at, reader] of state.readers.entries()) {
    const process = state.processes[reader.process] as Process
    if (process.alive) readerMovesOf(protocol, state, at, moves)
  }
}

function readerMovesOf(protocol: Protocol, state: State, at: number, moves: Moves): void {
  const reader = state.readers[at] as Reader
  const name = readerName(state, at)
  switch (reader.step) {
    case 'idle':
      if (reader.left > 0) begin(protocol, state, at, moves)
      return
    case 'again':
      moves.work(
        () => `${name} looks again`,
        (next) => {
          look(protocol, next, at, true)
        },
      )
      return
    case 'looked-copy':
      moves.work(
        () => `${name} is told ${told(state, reader.heldInCopy)} in its copy`,
        (next) => judgeCopy(protocol, next, at),
      )
      return
    case 'looked':
      moves.work(
        () => `${name} is told ${told(state, reader.held)}`,
        (next) => judgeEntry(protocol, next, at),
      )
      if (state.budget.refresh > 0 && isUsable(protocol, state, reader)) {
        moves.choice(
          () => `${name} is told ${told(state, reader.held)}, and has it refreshed early`,
          (next) => refreshBehind(protocol, next, at),
        )
      }
      return
    case 'loads':
      moves.work(
        () => `${name} loads ${rowIn(current(state))} for itself`,
        (next) => {
          const own = next.readers[at] as Reader
          own.before = (next.processes[own.process] as Process).floor
          own.value = current(next)
          own.step = 'loaded'
        },
      )
      return
    case 'loaded':
      moves.work(
        () => `${name} gets what it has loaded`,
        (next) => serveLoaded(protocol, next, at),
      )
      return
    case 'waits':
    case 'landing':
      // Its fill will answer it.
      return
  }
}

function begin(protocol: Protocol, state: State, at: number, moves: Moves): void {
  const reader = state.readers[at] as Reader
  const process = state.processes[reader.process] as Process
  const name = readerName(state, at)
  const start = (next: State) => {
    const own = next.readers[at] as Reader
    note(protocol, next, own)
    if (own.carriesSession && protocol.rules.sessionRaisesFloor && next.returned > 0) heed(protocol, next, own.process)
  }
  if (process.near !== undefined && process.trusted && !reader.carriesSession) {
    const { near } = process
    moves.choice(
      () => `${name} reads ${rowIn(near)} in its memory`,
      (next) => {
        start(next)
        return serve(next, at, near, 'memory')
      },
    )
    return
  }
  moves.choice(
    () => `${name} begins to read${reader.carriesSession ? ' under a session' : ''}, and looks`,
    (next) => {
      start(next)
      look(protocol, next, at, false)
    },
  )
}

/** From now on this read has to show at least what was written and shown before it. */
function note({ scope }: Protocol, state: State, reader: Reader): void {
  const process = state.processes[reader.process] as Process
  const promises = (promise: Protocol['scope']['promises'][number]) => scope.promises.includes(promise)
  reader.acknowledged = promises('acknowledged') ? state.acknowledged : 0
  reader.known = Math.max(
    promises('monotonic') ? process.shown : 0,
    promises('own writes') ? process.own : 0,
    reader.carriesSession ? state.returned : 0,
  )
}

/** `readUnder` of session.ts: the process may show nothing older any more than what the session's holder has written. */
function heed(protocol: Protocol, state: State, at: number): void {
  const { of, absent } = valueAt(state, state.returned)
  const { floor } = state.processes[at] as Process
  if (floor && floor.version >= of) return
  apply(protocol, state, at, { version: of, absent, raises: true })
}

/** Asks the store. A process does not ask for keys whose fence it could not deliver. */
function look(protocol: Protocol, state: State, at: number, isAgain: boolean): void {
  const reader = state.readers[at] as Reader
  const process = state.processes[reader.process] as Process
  const isPending = (place: number) =>
    protocol.rules.pendingIsNotRead && process.pending.some((fence) => fence.place === place)
  reader.generation = process.generation
  const copy = 1 + reader.process
  if (protocol.scope.hot && !isAgain && !process.sawAbsence && !isPending(copy)) {
    reader.viaCopy = true
    reader.heldInCopy = state.places[copy]?.entry
    reader.step = 'looked-copy'
    return
  }
  if (isPending(0)) {
    if (!join(state, at)) loadAlone(reader)
    return
  }
  reader.held = state.places[0]?.entry
  reader.step = 'looked'
}

function loadAlone(reader: Reader): void {
  reader.step = 'loads'
}

/** engine/hot-copies.ts: what is of no use in the copy is read from the entry, and copied behind the reader. */
function judgeCopy(protocol: Protocol, state: State, at: number): string | undefined {
  const reader = state.readers[at] as Reader
  const process = state.processes[reader.process] as Process
  const held = reader.heldInCopy
  if (held !== undefined && !held.absent && judge(protocol, process, held) === 'usable') {
    reader.viaCopy = false
    return serveFromCache(protocol, state, at, held)
  }
  look(protocol, state, at, true)
  return undefined
}

function judgeEntry(protocol: Protocol, state: State, at: number): string | undefined {
  const reader = state.readers[at] as Reader
  const process = state.processes[reader.process] as Process
  const verdict = judge(protocol, process, reader.held)
  if (verdict === 'usable') return serveFromCache(protocol, state, at, reader.held as Entry)
  if (join(state, at)) return undefined
  const fill = startFill(state, { process: reader.process, reason: 'miss', place: 0, seen: reader.held })
  fill.useless = verdict === 'other-epoch'
  reader.fill = fill.token
  reader.step = 'waits'
  return undefined
}

/** `Reader.#join`. */
function join(state: State, at: number): boolean {
  const reader = state.readers[at] as Reader
  const flight = state.fills.find((fill) => fill.process === reader.process && fill.joinable)
  if (flight === undefined) return false
  reader.fill = flight.token
  reader.step = 'waits'
  return true
}

function isUsable(protocol: Protocol, state: State, reader: Reader): boolean {
  return judge(protocol, state.processes[reader.process] as Process, reader.held) === 'usable'
}

function refreshBehind(protocol: Protocol, state: State, at: number): string | undefined {
  const { process, held } = state.readers[at] as Reader
  state.budget.refresh--
  startFill(state, { process, reason: 'refresh', place: 0, seen: held })
  return serveFromCache(protocol, state, at, held as Entry)
}

function serveLoaded(protocol: Protocol, state: State, at: number): string | undefined {
  const reader = state.readers[at] as Reader
  const process = state.processes[reader.process] as Process
  const value = reader.value as Value
  if (accept(protocol, process, value, reader.before) === 'again') {
    loadAlone(reader)
    return undefined
  }
  return serve(state, at, value, 'database')
}

function serveFromCache(protocol: Protocol, state: State, at: number, entry: Entry): string | undefined {
  const reader = state.readers[at] as Reader
  const process = state.processes[reader.process] as Process
  const version = versionOf(protocol, entry)
  if (version !== null) raiseFloor(process, version, false)
  outdate(protocol, process, version)
  remember(protocol, process, entry, reader.generation)
  return serve(state, at, entry, 'cache')
}

function told(state: State, entry: Entry | undefined): string {
  if (entry === undefined) return 'that nothing is cached'
  const epoch = entry.epoch === state.epoch ? '' : ' of an older epoch'
  return `${rowIn(entry)}${epoch}${entry.expired ? ', expired' : ''}`
}
