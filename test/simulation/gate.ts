import { ABLATIONS, type Ablation, type AblationName } from './ablations.js'
import { bundleSimulation } from './bundle.js'
import { NOTHING, runSeeds, type Tally } from './runner.js'

export interface Caught {
  readonly name: AblationName
  /** Of the profiles in which it shows, until the first that was broken. */
  readonly tally: Tally
}

export interface GateOptions {
  readonly names?: readonly AblationName[]
  readonly to: number
  readonly threads: number
  readonly onCaught?: (caught: Caught) => void
}

/** Plants each ablation in turn and runs seeds until one is broken. */
export async function runGate({ names, to, threads, onCaught }: GateOptions): Promise<readonly Caught[]> {
  const caught: Caught[] = []
  const waiting = [...(names ?? (Object.keys(ABLATIONS) as AblationName[]))]
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const found = { name, tally: await catchOne(ABLATIONS[name], to) }
      caught.push(found)
      onCaught?.(found)
    }
  }
  await Promise.all(Array.from({ length: threads }, work))
  return caught
}

async function catchOne({ edits, profiles }: Ablation, to: number): Promise<Tally> {
  const bundle = await bundleSimulation(edits)
  return to > 0 ? runSeeds({ bundle, from: 0, to, threads: 1, profiles, untilBroken: true }) : NOTHING
}
