import type { Row } from './kysely-on.js'

/** What became of a statement on one side. */
export type Outcome = { readonly rows: readonly Row[] } | { readonly error: Error & { readonly code?: string } }

export async function outcomeOf(running: Promise<readonly Row[]>): Promise<Outcome> {
  try {
    return { rows: await running }
  } catch (error) {
    return { error: error as Error }
  }
}

export function answerOf(outcome: Outcome): Row[] {
  if ('error' in outcome) throw outcome.error
  return [...outcome.rows]
}

export function codeOf(outcome: Outcome): string | undefined {
  return 'error' in outcome ? outcome.error.code : undefined
}

export function describe(outcome: Outcome): string {
  return 'error' in outcome ? `${outcome.error.code}, ${outcome.error.message}` : JSON.stringify(outcome.rows)
}
