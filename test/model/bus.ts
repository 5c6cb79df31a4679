import { type Moves, nameOf } from './moves.js'
import { apply, emptyNear } from './process.js'
import { hasBus, type Protocol } from './scope.js'
import type { Message, Process, State } from './state.js'

/** engine/bus.ts: who hears what, and who notices what was missed. */
export function busMoves(protocol: Protocol, state: State, moves: Moves): void {
  if (!hasBus(protocol.scope)) return
  for (const [at, process] of state.processes.entries()) if (process.alive) busMovesOf(protocol, state, at, moves)
}

/** `Bus.announce`. Messages of one publisher keep their order; what is half open hears nothing. */
export function announce(state: State, from: number, change: Omit<Message, 'from'>, isLost: boolean): void {
  for (const [at, process] of state.processes.entries()) {
    if (at === from || !process.alive) continue
    if (isLost) process.gap = true
    else if (!process.deaf) process.inbox = [...process.inbox, { from, ...change }]
  }
}

function busMovesOf(protocol: Protocol, state: State, at: number, moves: Moves): void {
  const { rules } = protocol
  const process = state.processes[at] as Process
  const name = nameOf(at)
  const publishers = new Set(process.inbox.map(({ from }) => from))
  for (const from of publishers) {
    const index = process.inbox.findIndex((message) => message.from === from)
    const message = process.inbox[index] as Message
    moves.work(
      () => `${name} hears of ${message.version === null ? 'a change' : `version ${message.version}`}`,
      (next) => {
        const own = next.processes[at] as Process
        own.inbox = own.inbox.toSpliced(index, 1)
        apply(protocol, next, at, message)
      },
    )
  }
  if (process.inbox.length > 0 && state.budget.loseMessage > 0) {
    moves.choice(
      () => `a message to ${name} is lost`,
      (next) => {
        const own = next.processes[at] as Process
        next.budget.loseMessage--
        own.inbox = own.inbox.slice(1)
        own.gap = true
      },
    )
  }
  if (process.gap) {
    moves.work(
      () => `${name} hears a heartbeat whose number tells of a gap`,
      (next) => {
        const own = next.processes[at] as Process
        own.gap = false
        if (rules.gapEmptiesNear) emptyNear(own)
      },
    )
  }
  if (!process.deaf && state.budget.deafen > 0) {
    moves.choice(
      () => `${name}'s subscription dies, and nothing says so`,
      (next) => {
        const own = next.processes[at] as Process
        next.budget.deafen--
        own.deaf = true
        own.inbox = []
      },
    )
  }
  if (process.deaf && process.trusted && rules.trustRunsOut) {
    moves.work(
      () => `no heartbeat has come back to ${name} for too long`,
      (next) => {
        ;(next.processes[at] as Process).trusted = false
      },
    )
  }
  if (process.deaf && !process.trusted) {
    moves.work(
      () => `${name} subscribes anew, and its heartbeat comes back`,
      (next) => {
        const own = next.processes[at] as Process
        own.deaf = false
        own.gap = false
        own.trusted = true
        if (rules.subscribingEmptiesNear) emptyNear(own)
      },
    )
  }
}
