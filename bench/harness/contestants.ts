import type { Tiers } from '../peers/peer.js'
import { invitePeers } from './peers.js'
import type { ReaderChoice } from './readers.js'
import type { Setting } from './scenario.js'

/** Who is measured, in the order of the rows, and who cannot be. */
export interface Contestants {
  readonly readers: readonly { readonly name: string; readonly choice: ReaderChoice }[]
  readonly cannot: Readonly<Record<string, string>>
}

/** Corral, the raw lines and the peers as readers of rows. What a fleet needs is asked of the peers: memory kept in step, or none. */
export async function contestants(
  setting: Setting,
  freshMs: number,
  raw: readonly ('cache-aside' | 'database')[],
  tiers: readonly Tiers[] = ['both', 'redis'],
): Promise<Contestants> {
  const { peers, cannot } = await invitePeers(tiers, setting)
  return {
    readers: [
      { name: 'corral', choice: { kind: 'corral', freshMs, l1: true } },
      ...raw.map((kind) => ({ name: kind, choice: { kind, freshMs, l1: false } })),
      ...peers.map((peer) => ({ name: peer.name, choice: { kind: 'peer', freshMs, l1: false, peer } as const })),
    ],
    cannot,
  }
}
