import { announce } from './bus.js'
import { type Moves, nameOf, nameOfPlace } from './moves.js'
import { apply, versionOf } from './process.js'
import { hasBus, type Protocol } from './scope.js'
import {
  current,
  type Fence,
  NONE,
  type Place,
  type Process,
  type State,
  type Value,
  valueAt,
  type Writer,
} from './state.js'
import * as store from './store.js'

/** engine/fencer.ts: the database first, then this process, the cache, and the others. */
export function writerMoves(protocol: Protocol, state: State, moves: Moves): void {
  for (const [at, writer] of state.writers.entries()) {
    if (writer.process === NONE) outsideMoves(state, at, moves)
    else if (state.processes[writer.process]?.alive) writerMovesOf(protocol, state, at, moves)
  }
}

/** Keys to fence, in the order in which that must happen. */
export function fenceOrder({ scope, rules }: Protocol, state: State, byRelay = false): number[] {
  const copies = state.places.slice(1).map((_, at) => at + 1)
  if (!scope.hot || !(byRelay ? rules.relayFencesCopies : rules.copiesAreFenced)) return [0]
  return rules.copiesAfterEntry ? [0, ...copies] : [...copies, 0]
}

/** Rows that others change: nothing of ours knows of it but the outbox. */
function outsideMoves(state: State, at: number, moves: Moves): void {
  const { writes, done } = state.writers[at] as Writer
  const write = writes[done]
  if (write === undefined) return
  const version = state.history.length
  const what = write === 'bulk' ? 'a statement over many rows' : 'SQL from outside'
  moves.choice(
    () => `${what} commits version ${version}`,
    (next) => {
      commit(next, next.writers[at] as Writer)
      ;(next.writers[at] as Writer).done++
    },
  )
}

function writerMovesOf(protocol: Protocol, state: State, at: number, moves: Moves): void {
  const writer = state.writers[at] as Writer
  const name = nameOf(writer.process)
  const what = writer.commit === NONE ? '' : rowOrGone(valueAt(state, writer.commit))
  const change = (tell: () => string, act: (next: State, own: Writer) => void) =>
    moves.work(tell, (next) => {
      act(next, next.writers[at] as Writer)
    })
  switch (writer.step) {
    case 'idle':
      beginMoves(protocol, state, at, moves)
      return
    case 'committed':
      change(
        () => `${name} is told that its COMMIT is done, and reads its own write from now on`,
        (next, own) => {
          learn(protocol, next, own)
          own.step = protocol.scope.publishes ? 'confirms' : firstStep(protocol)
        },
      )
      return
    case 'confirms':
      change(
        () => `${name} asks whether the row is still as written: it is ${rowOrGone(current(state))}`,
        (next, own) => {
          const now = current(next)
          const isStill = now.of === own.commit || !protocol.rules.offersOnlyWhatStayed
          own.replacement = isStill && !valueAt(next, own.commit).absent ? own.commit : NONE
          own.step = firstStep(protocol)
        },
      )
      return
    case 'fences':
      fenceMoves(protocol, state, at, moves)
      return
    case 'announces':
      change(
        () =>
          `${name} tells the others of ${what}${protocol.rules.announcesAfterFence ? ', and its write returns' : ''}`,
        (next, own) => {
          announceCommit(protocol, next, own)
          if (protocol.rules.announcesAfterFence) finish(next, own)
          else own.step = 'fences'
        },
      )
      return
    case 'commits-late':
      change(
        () => `${name} commits version ${state.history.length}, and its write returns`,
        (next, own) => {
          commit(next, own)
          finish(next, own)
        },
      )
      return
    case 'doubts':
      doubtMoves(protocol, state, at, moves)
      outcomeMoves(state, at, moves)
      return
    case 'asks':
      if (writer.outcome === 'open') {
        outcomeMoves(state, at, moves)
        return
      }
      change(
        () => `${name} learns that its COMMIT has ${writer.outcome === 'committed' ? 'taken place' : 'failed'}`,
        (next, own) => {
          const { doubtIsFencedTwice, unknownCountsAsCommitted } = protocol.rules
          const isFencedAgain = doubtIsFencedTwice && unknownCountsAsCommitted
          const isOver = own.outcome === 'aborted' || own.isFencedTwice || !isFencedAgain
          own.at = 0
          if (isOver) {
            end(own)
            return
          }
          own.isFencedTwice = true
          own.step = 'doubts'
          apply(protocol, next, own.process, UNKNOWN)
        },
      )
  }
}

const UNKNOWN = { version: null, absent: false, raises: false }

function beginMoves(protocol: Protocol, state: State, at: number, moves: Moves): void {
  const { process, writes, done } = state.writers[at] as Writer
  const write = writes[done]
  if (write === undefined) return
  const name = nameOf(process)
  const version = state.history.length
  if (!protocol.rules.fencesAfterCommit) {
    moves.choice(
      () => `${name} fences before it commits`,
      (next) => {
        for (const place of fenceOrder(protocol, next)) fenceOne(protocol, next, { place, version: null, xid: NONE })
        ;(next.writers[at] as Writer).step = 'commits-late'
      },
    )
    return
  }
  moves.choice(
    () => `${name} commits ${write === 'remove' ? `a deletion, version ${version}` : `version ${version}`}`,
    (next) => {
      const own = next.writers[at] as Writer
      commit(next, own)
      own.step = 'committed'
    },
  )
  if (state.budget.doubt === 0) return
  moves.choice(
    () =>
      `${name} sends COMMIT, and loses the connection${protocol.rules.unknownCountsAsCommitted ? '; it fences for fear that it has committed' : ''}`,
    (next) => {
      const own = next.writers[at] as Writer
      next.budget.doubt--
      own.outcome = 'open'
      own.step = protocol.rules.unknownCountsAsCommitted ? 'doubts' : 'asks'
      if (own.step === 'doubts') apply(protocol, next, own.process, UNKNOWN)
    },
  )
}

function firstStep({ rules }: Protocol): Writer['step'] {
  if (!rules.announcesAfterFence || !rules.fencesAtAll) return 'announces'
  return 'fences'
}

function fenceMoves(protocol: Protocol, state: State, at: number, moves: Moves): void {
  const writer = state.writers[at] as Writer
  const order = fenceOrder(protocol, state)
  const place = order[writer.at] as number
  const name = nameOf(writer.process)
  let outcome = ''
  moves.work(
    () =>
      `the cache fences ${nameOfPlace(place)} up to ${rowOrGone(valueAt(state, writer.commit))} for ${name}: ${outcome}`,
    (next) => {
      const own = next.writers[at] as Writer
      const replacement = place === 0 ? own.replacement : NONE
      outcome = fenceOne(protocol, next, fenceOf(protocol, own, place), replacement)
      own.at++
      if (!protocol.rules.acknowledgesAfterCopies && own.at === 1) returns(next, own)
      if (own.at === order.length) fenced(protocol, next, own)
    },
  )
  if (state.budget.failFence === 0) return
  moves.choice(
    () => `the cache does not answer ${name}, whose fence of ${nameOfPlace(place)} is pending`,
    (next) => {
      const own = next.writers[at] as Writer
      next.budget.failFence--
      own.isPending = true
      const process = next.processes[own.process] as Process
      for (const missed of order.slice(own.at)) addPending(process, fenceOf(protocol, own, missed))
      fenced(protocol, next, own)
    },
  )
}

function fenced(protocol: Protocol, state: State, writer: Writer): void {
  const isUnstamped = versionOf(protocol, valueAt(state, writer.commit)) === null && protocol.scope.stamped === false
  if (isUnstamped && protocol.rules.forgetsTwiceUnstamped) apply(protocol, state, writer.process, UNKNOWN)
  // Without anybody to hear it there is nothing between the last fence and the return of the write.
  if (protocol.rules.announcesAfterFence && hasBus(protocol.scope)) writer.step = 'announces'
  else finish(state, writer)
}

function doubtMoves(protocol: Protocol, state: State, at: number, moves: Moves): void {
  const writer = state.writers[at] as Writer
  const order = fenceOrder(protocol, state)
  const place = order[writer.at] as number
  moves.work(
    () => `the cache drops ${nameOfPlace(place)} for ${nameOf(writer.process)}`,
    (next) => {
      const own = next.writers[at] as Writer
      fenceOne(protocol, next, { place, version: null, xid: NONE })
      own.at++
      if (own.at < order.length) return
      announce(next, own.process, UNKNOWN, false)
      own.step = 'asks'
    },
  )
}

/** What becomes of a COMMIT that was not answered is the database's affair. */
function outcomeMoves(state: State, at: number, moves: Moves): void {
  const writer = state.writers[at] as Writer
  if (writer.outcome !== 'open') return
  const name = nameOf(writer.process)
  moves.work(
    () => `the database carries out the COMMIT of ${name}: version ${state.history.length}`,
    (next) => {
      const own = next.writers[at] as Writer
      commit(next, own)
      own.outcome = 'committed'
    },
  )
  moves.work(
    () => `the database rolls back what ${name} had written`,
    (next) => {
      ;(next.writers[at] as Writer).outcome = 'aborted'
    },
  )
}

function commit(state: State, writer: Writer): void {
  const write = writer.writes[writer.done]
  writer.commit = state.history.length
  state.history = [...state.history, write !== 'remove']
  // Nobody ever sees what the statement has returned.
  if (write === 'touched') state.history = [...state.history, true]
  if (write === 'bulk') state.unepoched = true
  else state.unrelayed |= 1 << writer.commit
}

/** `Invalidation.apply`, for what this process itself has written. */
function learn(protocol: Protocol, state: State, writer: Writer): void {
  apply(protocol, state, writer.process, changeOf(protocol, state, writer))
}

function announceCommit(protocol: Protocol, state: State, writer: Writer): void {
  announce(state, writer.process, changeOf(protocol, state, writer), false)
}

function changeOf({ scope }: Protocol, state: State, { commit }: Writer) {
  const { absent } = valueAt(state, commit)
  if (scope.stamped === false) return { ...UNKNOWN, absent }
  // After a deletion: the least version that a row may have that comes back.
  return { version: commit, absent, raises: true }
}

function fenceOf({ scope }: Protocol, { commit }: Writer, place: number): Fence {
  return { place, version: scope.stamped === false ? null : commit, xid: commit }
}

/** One FENCE, as any of those that send them does. */
export function fenceOne(protocol: Protocol, state: State, fence: Fence, replacement = NONE): string {
  const { rules, scope } = protocol
  return store.fence(
    state.places[fence.place] as Place,
    {
      version: fence.version,
      xid: fence.xid,
      rememberAlways: scope.standby === true && rules.fenceIsAlwaysRemembered,
      replacement: replacement === NONE ? undefined : { of: replacement, absent: false, epoch: 0, expired: false },
    },
    (entry) => versionOf(protocol, entry),
    rules,
  )
}

/** `PendingFences.add`: one for each key; fences merge by maximum, and an unknown version drops everything. */
function addPending(process: Process, fence: Fence): void {
  const known = process.pending.find((each) => each.place === fence.place)
  process.pending = process.pending.filter((each) => each !== known)
  const isUnknown = fence.version === null || known?.version === null
  const version = isUnknown ? null : Math.max(known?.version ?? NONE, fence.version as number)
  process.pending = [...process.pending, { place: fence.place, version, xid: Math.max(known?.xid ?? NONE, fence.xid) }]
}

function finish(state: State, writer: Writer): void {
  returns(state, writer)
  end(writer)
}

/** The writer is told; from here on it is promised that its write is seen. */
function returns(state: State, writer: Writer): void {
  const process = state.processes[writer.process] as Process
  process.own = Math.max(process.own, writer.commit)
  state.returned = Math.max(state.returned, writer.commit)
  if (!writer.isPending) state.acknowledged = Math.max(state.acknowledged, writer.commit)
}

function end(writer: Writer): void {
  writer.step = 'idle'
  writer.done++
  writer.commit = NONE
  writer.at = 0
  writer.isPending = false
  writer.outcome = 'open'
  writer.isFencedTwice = false
  writer.replacement = NONE
}

function rowOrGone({ of, absent }: Value): string {
  return absent ? `version ${of}, a deletion` : `version ${of}`
}
