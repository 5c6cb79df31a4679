import { type Moves, nameOf, nameOfPlace } from './moves.js'
import type { Protocol } from './scope.js'
import { type Entry, NONE, type Place, type Process, type State } from './state.js'
import { forgetFence, hasGuard } from './store.js'

/** What memory pressure, time and death do. Each as often as the scope's budget says. */
export function faultMoves({ scope }: Protocol, state: State, moves: Moves): void {
  const { budget } = state
  for (const [at, place] of state.places.entries()) placeFaults(state, at, place, moves)
  if (budget.crash > 0) crashMoves(state, moves)
  if (scope.standby) standbyMoves(state, moves)
}

function standbyMoves(state: State, moves: Moves): void {
  const last = state.history.length - 1
  if (state.standby < last) {
    moves.work(
      () => `the standby replays version ${state.standby + 1}`,
      (next) => {
        next.standby++
      },
    )
  }
  if (state.budget.horizons === 0) return
  for (const [at, { alive, horizon }] of state.processes.entries()) {
    if (!alive || horizon === NONE || horizon === last) continue
    moves.choice(
      () => `${nameOf(at)} looks at the primary: a standby has to show version ${last} from now on`,
      (next) => {
        next.budget.horizons--
        ;(next.processes[at] as Process).horizon = last
      },
    )
  }
}

function placeFaults(state: State, at: number, place: Place, moves: Moves): void {
  const { budget } = state
  const name = nameOfPlace(at)
  const placeIn = (next: State) => next.places[at] as Place
  if (budget.evictEntry > 0 && place.entry !== undefined) {
    moves.choice(
      () => `${name} is evicted, its guard stays`,
      (next) => {
        next.budget.evictEntry--
        placeIn(next).entry = undefined
      },
    )
  }
  if (budget.evictGuard > 0 && hasGuard(place)) {
    moves.choice(
      () => `the guard of ${name} is evicted`,
      (next) => {
        next.budget.evictGuard--
        forgetFence(placeIn(next))
        placeIn(next).lease = 0
      },
    )
  }
  const fenced = Math.max(place.fence, place.fencedXid)
  // Horizons are younger than fences are old when they are forgotten (engine/replica-trust.ts).
  const isOld = state.processes.every(({ alive, horizon }) => !alive || horizon === NONE || horizon >= fenced)
  if (budget.forgetFence > 0 && fenced !== NONE && isOld) {
    moves.choice(
      () => `the fence of ${name} is forgotten: its time is up`,
      (next) => {
        next.budget.forgetFence--
        next.forgotten = Math.max(next.forgotten, fenced)
        forgetFence(placeIn(next))
      },
    )
  }
  if (budget.expire > 0 && place.entry !== undefined && !place.entry.expired) {
    moves.choice(
      () => `${name} expires`,
      (next) => {
        next.budget.expire--
        placeIn(next).entry = { ...(place.entry as Entry), expired: true }
      },
    )
  }
}

/** A process is gone with all it had in hand. What it had sent may still arrive. */
function crashMoves(state: State, moves: Moves): void {
  for (const [at, process] of state.processes.entries()) {
    const isBusy = state.writers.some((writer) => writer.process === at && writer.step !== 'idle')
    if (!process.alive || !(isBusy || process.pending.length > 0)) continue
    moves.choice(
      () => `${nameOf(at)} dies`,
      (next) => {
        const own = next.processes[at] as Process
        next.budget.crash--
        own.alive = false
        own.pending = []
        own.inbox = []
        own.near = undefined
        next.fills = next.fills.filter(
          (fill) => fill.process !== at || fill.step === 'sent' || fill.step === 'sent-standby',
        )
        for (const reader of next.readers) {
          if (reader.process !== at) continue
          reader.step = 'idle'
          reader.left = 0
          reader.fill = 0
        }
      },
    )
  }
}
