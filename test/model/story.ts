import type { Counterexample } from './explore.js'

/** A counterexample as numbered lines, the last of which says what is wrong. */
export function tellStory({ steps, broken }: Counterexample): string {
  const lines = steps.map((step, at) => `  ${String(at + 1).padStart(2)}  ${step}`)
  return [...lines, `  =>  ${broken}`].join('\n')
}
