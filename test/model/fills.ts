import type { Entry, Fill, State } from './state.js'

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
