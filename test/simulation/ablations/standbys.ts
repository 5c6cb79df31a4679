import type { Ablation } from '../ablation.js'

const STORE = 'adapters/memory/memory-store.ts'
const REPLICA_FILL = 'engine/replica-fill.ts'

/** What a standby gave is held against what this process has shown. As long as that is so, hardly anything older reaches the cache. */
const HELD_AGAINST_FLOOR = [
  {
    file: REPLICA_FILL,
    replace:
      "    if (mayBeBelowFloor(floors.get(key), undefined, loaded)) return this.#skip('floor')\n\n    const isRefresh",
    by: '    const isRefresh',
  },
  {
    file: REPLICA_FILL,
    replace:
      "    if (mayBeBelowFloor(floors.get(key), undefined, loaded)) return this.#skip('floor')\n    const remainingMs",
    by: '    const remainingMs',
  },
] as const

export const STANDBYS = {
  fillMustSatisfyFence: {
    says: 'a fill older than a fence is refused',
    edits: [{ file: STORE, replace: "if (isFenced(guard, request, this.nowMs())) return 'fenced'", by: '' }],
    profiles: ['standby'],
  },
  fillMustNotBeOlder: {
    says: 'a fill does not replace a newer entry',
    edits: [
      {
        file: STORE,
        replace:
          'if (!request.replacesNewer && stored && request.version && compareVersions(stored, request.version) > 0)',
        by: 'if (false)',
      },
    ],
    behind: HELD_AGAINST_FLOOR,
    profiles: ['receding'],
  },
  standbyFillHasItsTime: {
    says: 'a fill from a standby lands only while fences since its horizon are remembered',
    edits: [
      { file: STORE, replace: 'if (request.untilMs !== undefined && nowMs > request.untilMs) return true', by: '' },
    ],
    profiles: ['stalls'],
  },
  fenceIsAlwaysRemembered: {
    says: 'where loads may read a standby, a fence is remembered where nothing is cached too',
    edits: [
      {
        file: 'assembly.ts',
        replace: 'const rememberAlways = options.replica !== undefined',
        by: 'const rememberAlways = false',
      },
    ],
    profiles: ['uncached'],
  },
  standbyMustSeeXids: {
    says: 'what no version orders lands from a standby only if that saw every fenced transaction',
    edits: [
      {
        file: STORE,
        replace: 'return (lostXid !== undefined && notSurelyVisible(lostXid)) || xids.some(notSurelyVisible)',
        by: 'return false',
      },
    ],
    profiles: ['standby'],
  },
  standbyMustShowHorizon: {
    says: 'a standby is believed only if it shows what the primary showed not long ago',
    edits: [
      {
        file: 'engine/replica-trust.ts',
        replace: 'if (horizon === undefined || compareVersions(xmin, horizon.xmax) < 0) return undefined',
        by: 'if (horizon === undefined) return undefined',
      },
    ],
    profiles: ['lag'],
  },
  standbyShowsOnlyStored: {
    says: 'what a standby gave is shown only after it was stored',
    edits: [{ file: REPLICA_FILL, replace: "if (outcome !== 'filled') return this.#skip('fenced')", by: '' }],
    profiles: ['standby'],
  },
  standbyIsHeldAgainstFloor: {
    says: 'what a standby gave is not stored below the floor',
    edits: HELD_AGAINST_FLOOR,
    profiles: ['forgotten'],
  },
} satisfies Record<string, Ablation>
