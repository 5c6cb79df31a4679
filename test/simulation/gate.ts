import type { Ablation } from './ablation.js'
import { ABLATIONS, type AblationName } from './ablations.js'
import { bundleSimulation } from './bundle.js'
import { runSeeds, type Tally } from './runner.js'

export interface Caught {
  readonly name: AblationName
  /** Of the profiles in which it shows, until the first that was broken. */
  readonly tally: Tally
}

export interface GateOptions {
  readonly names?: readonly AblationName[]
  /** Where to begin: below it no seed is tried. Default: 0. */
  readonly from?: (name: AblationName) => number
  /** How many numbers of seeds on from there are gone through; those of other profiles are passed over. */
  readonly span: number
  readonly threads: number
  readonly onCaught?: (caught: Caught) => void
}

/** Plants each ablation in turn and runs seeds until one is broken. */
export async function runGate({
  names,
  from = () => 0,
  span,
  threads,
  onCaught,
}: GateOptions): Promise<readonly Caught[]> {
  const caught: Caught[] = []
  const waiting = [...(names ?? (Object.keys(ABLATIONS) as AblationName[]))]
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const found = { name, tally: await catchOne(ABLATIONS[name], from(name), span) }
      caught.push(found)
      onCaught?.(found)
    }
  }
  await Promise.all(Array.from({ length: threads }, work))
  return caught
}

/** A seed that is broken without this having been taken out has caught nothing: it is passed over. */
async function catchOne({ edits, behind = [], profiles }: Ablation, from: number, span: number): Promise<Tally> {
  const [bundle, control] = await Promise.all([bundleSimulation([...behind, ...edits]), bundleSimulation(behind)])
  let seeds = 0
  for (let next = from; ; ) {
    const tally = await runSeeds({ bundle, from: next, to: from + span, threads: 1, profiles, untilBroken: true })
    seeds += tally.seeds
    const [first] = tally.broken
    if (first === undefined) return { ...tally, seeds }
    const { broken } = await runSeeds({ bundle: control, from: first.seed, to: first.seed + 1, threads: 1 })
    if (broken.length === 0) return { ...tally, seeds }
    next = first.seed + 1
  }
}
