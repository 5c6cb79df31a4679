import type { Ablation } from '../ablation.js'

const FILLER = 'engine/filler.ts'

export const RELAYS = {
  relay: {
    says: 'every commit is fenced by the relay as well',
    edits: [{ file: 'jobs/leadership.ts', replace: '    await this.#carry(changes)', by: '' }],
    profiles: ['crashes'],
  },
  relayReplays: {
    says: 'after a failover the relay fences again what the new primary may have missed',
    edits: [
      {
        file: 'jobs/leadership.ts',
        replace: "replay.changes += await this.#fence(page.changes.filter((change) => change.kind === 'row'))",
        by: '',
      },
    ],
    profiles: ['failover'],
  },
  fillCarriesEpochOfLoad: {
    says: 'a fill carries the epoch from before its load began',
    edits: [
      {
        file: FILLER,
        replace: 'const made = { ...loaded, epoch, ageMs',
        by: 'const made = { ...loaded, epoch: this.#parts.epoch(), ageMs',
      },
    ],
    profiles: ['epochs'],
  },
  epochRises: {
    says: 'what is not told row by row raises the epoch',
    edits: [
      {
        file: 'jobs/leadership.ts',
        replace: 'if (page.isGap || rows.length < page.changes.length) await this.#raiseEpoch()',
        by: 'if (page.isGap) await this.#raiseEpoch()',
      },
    ],
    profiles: ['epochs'],
  },
  epochIsJudged: {
    says: 'an entry of another epoch is a miss',
    edits: [{ file: 'policy/verdict.ts', replace: "if (entry.epoch !== demands.epoch) return 'other-epoch'", by: '' }],
    profiles: ['epochs'],
  },
  boundsAreProven: {
    says: 'a bounded read is answered by the cache only within what the watermark proves',
    edits: [
      {
        file: 'engine/bounded-reader.ts',
        replace: "if (provenAtMs < leastMs) return this.#load(key, id, asker, 'unproven')",
        by: '',
      },
    ],
    profiles: ['proofs'],
  },
  tickNamesItsServer: {
    says: 'a look at a tick counts only on the server that the tick was written on',
    edits: [{ file: 'engine/watermark.ts', replace: ' || tick.server !== server', by: '' }],
    profiles: ['followed'],
  },
} satisfies Record<string, Ablation>
