import { busMoves } from './bus.js'
import { encode } from './encode.js'
import type { Move, System } from './explore.js'
import { faultMoves } from './faults.js'
import { fillMoves } from './filling.js'
import { Moves, nameOf, nameOfPlace } from './moves.js'
import { readerMoves } from './reading.js'
import { relayMoves, replicaMoves } from './relay.js'
import type { Protocol, Scope } from './scope.js'
import { rowIn } from './serving.js'
import { type Budget, current, NONE, type Reader, type State, type Value, type Writer } from './state.js'
import { emptyPlace } from './store.js'
import { writerMoves } from './writing.js'

/** The protocol as a system to explore: every order in which the steps of its people and faults can come. */
export function systemOf(protocol: Protocol): System<State> {
  return {
    initial: initialState(protocol.scope),
    moves: (state) => movesIn(protocol, state),
    encode,
    faultAtRest: (state) => faultAtRest(protocol, state),
  }
}

function movesIn(protocol: Protocol, state: State): readonly Move<State>[] {
  const moves = new Moves(state)
  readerMoves(protocol, state, moves)
  fillMoves(protocol, state, moves)
  writerMoves(protocol, state, moves)
  busMoves(protocol, state, moves)
  relayMoves(protocol, state, moves)
  replicaMoves(state, moves)
  faultMoves(protocol, state, moves)
  return moves.all
}

/** Whatever may still be read when nothing is under way any more has to be what the database holds. */
function faultAtRest({ scope, rules }: Protocol, state: State): string | undefined {
  if (!scope.promises.includes('at rest')) return undefined
  const truth = current(state)
  const differs = (value: Value) => value.absent !== truth.absent || (!value.absent && value.of !== truth.of)
  const said = (where: string, value: Value) =>
    `at rest, ${where} says ${rowIn(value)}, and the database ${rowIn(truth)}`
  for (const [at, { entry }] of state.places.entries()) {
    const isOfEpoch = entry?.epoch === state.epoch || !rules.epochIsJudged
    const isServed = entry !== undefined && !entry.expired && isOfEpoch
    if (isServed && differs(entry)) return said(nameOfPlace(at), entry)
  }
  for (const [at, { alive, trusted, near }] of state.processes.entries()) {
    if (alive && trusted && near !== undefined && differs(near)) return said(`the memory of ${nameOf(at)}`, near)
  }
  return undefined
}

const NO_FAULTS: Budget = {
  evictEntry: 0,
  evictGuard: 0,
  forgetFence: 0,
  expire: 0,
  crash: 0,
  failFence: 0,
  doubt: 0,
  loseMessage: 0,
  deafen: 0,
  failover: 0,
  refresh: 0,
  horizons: 0,
}

/** Commit 0 is before everything: no row. Where there is one to begin with, commit 1 has made it. */
function initialState({ initially, processes, readers, writers, hot, faults }: Scope): State {
  const history = initially === 'row' ? [false, true] : [false]
  return {
    history,
    standby: history.length - 1,
    places: Array.from({ length: hot ? 1 + processes : 1 }, emptyPlace),
    replica: Array.from({ length: hot ? 1 + processes : 1 }, emptyPlace),
    processes: Array.from({ length: processes }, (_, at) => ({
      alive: true,
      floor: undefined,
      epoch: 0,
      pending: [],
      near: undefined,
      generation: 0,
      trusted: true,
      deaf: false,
      gap: false,
      inbox: [],
      // Only who reads looks at the primary.
      horizon: readers.some(({ process }) => process === at) ? history.length - 1 : NONE,
      sawAbsence: false,
      shown: 0,
      own: 0,
    })),
    readers: readers.map(
      ({ process, reads, carriesSession = false }): Reader => ({
        ...{ process, carriesSession, left: reads, step: 'idle', acknowledged: 0, known: 0, held: undefined },
        ...{ viaCopy: false, heldInCopy: undefined, generation: 0, before: undefined, value: undefined, fill: 0 },
      }),
    ),
    writers: writers.map(
      ({ process, writes }): Writer => ({
        ...{ process, writes, done: 0, step: 'idle', commit: NONE, at: 0, isPending: false },
        ...{ outcome: 'open', isFencedTwice: false, replacement: NONE },
      }),
    ),
    fills: [],
    tokens: 0,
    acknowledged: 0,
    returned: 0,
    forgotten: NONE,
    unrelayed: 0,
    relaying: undefined,
    unepoched: false,
    epoch: 0,
    hasFailedOver: false,
    budget: { ...NO_FAULTS, ...faults },
  }
}
