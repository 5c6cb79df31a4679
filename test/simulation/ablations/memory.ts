import type { Ablation } from '../ablation.js'

const FENCER = 'engine/fencer.ts'
const ACCEPTANCE = 'engine/acceptance.ts'

/** Memory is emptied once more after each subscription. */
const UNKNOWN_COUNT_AS_SILENT = {
  file: 'engine/publishers.ts',
  replace: 'if (this.#unknownAtMs >= sinceMs) return false',
  by: 'return false',
} as const

export const MEMORY = {
  keepsOnlyWhatStayed: {
    says: 'L1 keeps a value only if nothing was invalidated since it was asked for',
    edits: [{ file: 'engine/l1.ts', replace: 'if (this.generation(slot) !== generation) return', by: '' }],
    profiles: ['unstamped'],
  },
  announcesAfterFence: {
    says: 'other processes are told after the fence',
    edits: [
      {
        file: FENCER,
        replace: '    const [sent, differing] = await Promise.all(',
        by: '    this.#announce(changes)\n    const [sent, differing] = await Promise.all(',
      },
      { file: FENCER, replace: '    if (!isBehind || this.#store.resends !== resends) this.#announce(news)', by: '' },
    ],
    profiles: ['unstamped'],
  },
  forgetsTwiceUnstamped: {
    says: 'without a stamp, the writer drops its own copy once more after the fence',
    edits: [
      {
        file: FENCER,
        replace:
          '    for (const change of changes) if (!change.hasFloor || change.version === null) this.#invalidation.apply(change)',
        by: '',
      },
    ],
    profiles: ['unstamped'],
  },
  gapEmptiesNear: {
    says: 'a gap in the numbering empties L1',
    edits: [{ file: 'engine/bus.ts', replace: "        this.#flush('gap')\n", by: '' }],
    profiles: ['near', 'unstamped'],
  },
  trustRunsOut: {
    says: 'L1 answers only while heartbeats come back',
    edits: [{ file: 'engine/bus.ts', replace: 'return nowMs < this.#trustedUntilMs', by: 'return nowMs < Infinity' }],
    profiles: ['frozen'],
  },
  subscribingEmptiesNear: {
    says: 'a new subscription empties L1',
    edits: [{ file: 'engine/bus.ts', replace: "    this.#flush('subscribed')\n", by: '' }],
    behind: [UNKNOWN_COUNT_AS_SILENT],
    profiles: ['resets'],
  },
  unknownCountAsSilent: {
    says: 'who was not heard since the subscription, and may have ended unheard, counts as fallen silent',
    edits: [UNKNOWN_COUNT_AS_SILENT],
    profiles: ['resets'],
  },
  shownOutdatesNear: {
    says: 'a reader who was shown a newer version drops the copy in L1',
    edits: [
      { file: 'engine/reader.ts', replace: '    this.#tier?.outdate(id, version ?? null)\n', by: '' },
      { file: ACCEPTANCE, replace: '      this.#tier?.outdate(id, null)\n', by: '' },
      {
        file: ACCEPTANCE,
        replace: '    this.#tier?.outdate(id, wasReset ? null : (loaded.version ?? null))\n',
        by: '',
      },
    ],
    profiles: ['frozen'],
  },
} satisfies Record<string, Ablation>
