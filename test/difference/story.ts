/** What is told of one run of calls on a real server and on its model, and where the two parted. */
export class Story {
  readonly lines: string[] = []
  /** How often what took place. */
  readonly witnesses = new Map<string, number>()
  calls = 0
  #difference: string | undefined

  /** The first thing they differed in. */
  get difference(): string | undefined {
    return this.#difference
  }

  tell(who: string, what: string): void {
    this.lines.push(`${String(this.calls).padStart(5)}  ${who}: ${what}`)
  }

  witness(what: string): void {
    this.witnesses.set(what, (this.witnesses.get(what) ?? 0) + 1)
  }

  differs(what: string): void {
    if (this.#difference !== undefined) return
    this.#difference = what
    this.lines.push(`=>  ${what}`)
  }
}

/** What came of many runs. */
export interface Tally {
  readonly seeds: number
  readonly calls: number
  readonly witnesses: ReadonlyMap<string, number>
  readonly differing: readonly { readonly seed: number; readonly story: readonly string[] }[]
}

/** Runs one seed after the other until so many calls were made, or one differs in what `most` of them do not. */
export async function runUntil(options: {
  readonly fromSeed: number
  readonly calls: number
  /** Ends when so many seeds differed. */
  readonly mostDiffering: number
  readonly run: (seed: number) => Promise<Story>
}): Promise<Tally> {
  const witnesses = new Map<string, number>()
  const differing: { seed: number; story: readonly string[] }[] = []
  let [seed, calls] = [options.fromSeed, 0]
  for (; calls < options.calls && differing.length < options.mostDiffering; seed++) {
    const story = await options.run(seed)
    calls += story.calls
    for (const [what, count] of story.witnesses) witnesses.set(what, (witnesses.get(what) ?? 0) + count)
    if (story.difference !== undefined) differing.push({ seed, story: story.lines })
  }
  return { seeds: seed - options.fromSeed, calls, witnesses, differing }
}

/** How a seed that differed is told, with the command that runs it again. */
export function describeDiffering(of: 'postgres' | 'redis', { differing }: Pick<Tally, 'differing'>): string {
  return differing
    .map(({ seed, story }) => [`npm run difference -- --of ${of} --seed ${seed}`, ...story].join('\n'))
    .join('\n\n')
}
