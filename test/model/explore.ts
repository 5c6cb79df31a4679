/** One thing that can happen next. */
export interface Move<State> {
  /** What happens, for the story. Asked for only when the move is part of one. */
  readonly tell: () => string
  readonly to: State
  /**
   * `work`: will happen if nothing else does. `choice`: may happen, or never: a read or write that begins, and every fault. A state
   * is at rest when only choices are left.
   */
  readonly kind: 'work' | 'choice'
  /** The promise this move has broken, in words. */
  readonly broken?: string | undefined
}

/** Something with states and moves between them. */
export interface System<State> {
  readonly initial: State
  moves(state: State): readonly Move<State>[]
  /** The same text for states that cannot be told apart by anything that may happen later. */
  encode(state: State): string
  /** What is wrong with a state at rest, in words. */
  faultAtRest(state: State): string | undefined
}

export interface Counterexample {
  /** What happened, in order. No shorter sequence breaks anything. */
  readonly steps: readonly string[]
  readonly broken: string
}

export interface Exploration {
  /** Different states reached. */
  readonly states: number
  /** Those of them in which everything was at rest. */
  readonly atRest: number
  readonly counterexample: Counterexample | undefined
}

const NONE = -1

/**
 * Visits every state that can be reached, nearest first, and stops at the first promise that is broken.
 *
 * A move is judged before its state is looked up among those already seen: one that breaks a promise may lead back to a state that
 * is in order.
 *
 * @throws Error beyond `maxStates`: a scope that is too large proves nothing.
 */
export function explore<State>(system: System<State>, maxStates = 2_000_000): Exploration {
  const { initial } = system
  const numbers = new Map<string, number>([[system.encode(initial), 0]])
  const waiting: (State | undefined)[] = [initial]
  /** How each state was first reached: from which, and by which of its moves. */
  const cameFrom: number[] = [NONE]
  const cameBy: number[] = [NONE]
  let atRest = 0
  for (let number = 0; number < waiting.length; number++) {
    const state = waiting[number] as State
    waiting[number] = undefined
    const moves = system.moves(state)
    for (const [ordinal, move] of moves.entries()) {
      if (move.broken !== undefined) {
        const steps = [...retrace(system, number, cameFrom, cameBy), move.tell()]
        return { states: numbers.size, atRest, counterexample: { steps, broken: move.broken } }
      }
      const code = system.encode(move.to)
      if (numbers.has(code)) continue
      numbers.set(code, waiting.length)
      waiting.push(move.to)
      cameFrom.push(number)
      cameBy.push(ordinal)
      if (waiting.length > maxStates) throw new Error(`more than ${maxStates} states; make the scope smaller`)
    }
    if (moves.some(({ kind }) => kind === 'work')) continue
    atRest++
    const broken = system.faultAtRest(state)
    if (broken === undefined) continue
    const steps = retrace(system, number, cameFrom, cameBy)
    return { states: numbers.size, atRest, counterexample: { steps, broken } }
  }
  return { states: numbers.size, atRest, counterexample: undefined }
}

/** Goes the way to a state once more, this time telling it: stories are not kept, because hardly any is ever read. */
function retrace<State>(
  system: System<State>,
  to: number,
  cameFrom: readonly number[],
  cameBy: readonly number[],
): string[] {
  const ordinals: number[] = []
  for (let number = to; cameFrom[number] !== NONE; number = cameFrom[number] as number) {
    ordinals.unshift(cameBy[number] as number)
  }
  let state = system.initial
  return ordinals.map((ordinal) => {
    const move = system.moves(state)[ordinal] as Move<State>
    state = move.to
    return move.tell()
  })
}
