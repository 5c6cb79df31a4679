import type { Ablation } from '../ablation.js'

const STORE = 'adapters/memory/memory-store.ts'
const FILLER = 'engine/filler.ts'
const ACCEPTANCE = 'engine/acceptance.ts'
/** Covers up for some: a row that is not loaded beside itself is neither loaded twice at once nor overtaken. */
const LOADS_BESIDE_THEMSELVES = {
  file: 'engine/load-queue.ts',
  replace: 'if (loading) return this.#waitFor(loading, asked)',
  by: '',
} as const

export const READS = {
  refreshNeedsLease: {
    says: 'a refresh takes the lease like any fill',
    edits: [
      {
        file: FILLER,
        replace: "if (reply.outcome === 'leased') await this.#answer({ key, id, token, useless",
        by: "await this.#answer({ key, id, token: 'unleased', useless",
      },
      {
        file: STORE,
        replace: "if (guard.lease?.token !== request.token) return 'lease-lost'",
        by: "if (guard.lease?.token !== request.token && request.token !== 'unleased') return 'lease-lost'",
      },
    ],
    profiles: ['expiry', 'publish'],
  },
  floors: {
    says: 'a process shows nothing older than what it has shown or written',
    edits: [
      { file: 'engine/floors.ts', replace: '    return this.#floors.get(key)', by: '    return void key as never' },
    ],
    profiles: ['comings'],
  },
  floorRefusesAbsence: {
    says: 'a cached absence is not shown once the row was',
    edits: [{ file: 'policy/verdict.ts', replace: '      return !floor.absent', by: '      return false' }],
    profiles: ['comings'],
  },
  absenceIsAFloor: {
    says: 'a process that has seen that there is no row shows no cached row that may be older',
    edits: [
      {
        file: 'engine/floors.ts',
        replace: 'if (floor === undefined) this.#set(key, UNORDERED_ABSENCE)',
        by: 'if (floor === undefined) return',
      },
    ],
    profiles: ['newcomers'],
  },
  floorsOutlastLoads: {
    says: 'a load that began before the floor rose does not lower it',
    edits: [
      {
        file: ACCEPTANCE,
        replace: 'while (floors.get(key) !== known && mayBeBelowFloor(floors.get(key), known, loaded)) {',
        by: 'while (false) {',
      },
    ],
    behind: [LOADS_BESIDE_THEMSELVES],
    profiles: ['overtaken'],
  },
  joinsOnlyWhatSaw: {
    says: 'who joins a fill that had begun takes its value only if no fence came meanwhile',
    edits: [
      {
        file: 'engine/reader.ts',
        replace: 'return !isLate || (await flight.landed) ? this.share(value, isLate) : MISSED_A_WRITE',
        by: 'return this.share(value, isLate)',
      },
    ],
    profiles: ['crowd'],
  },
  shapeIsJudged: {
    says: 'an entry of another shape is a miss',
    edits: [{ file: 'policy/verdict.ts', replace: "if (entry.shape !== demands.shape) return 'other-shape'", by: '' }],
    profiles: ['releases'],
  },
  sessionRaisesFloor: {
    says: 'a session raises the floor of the process that reads under it',
    edits: [
      {
        file: 'session.ts',
        replace: "  if (typeof demand === 'object' && !demand.isUnordered) read.heed(demand)\n",
        by: '',
      },
      {
        file: 'session.ts',
        replace: "typeof demand === 'object' && !satisfies(demand, found, read) ? await read.primary() : found",
        by: 'found',
      },
    ],
    profiles: ['sessions'],
  },
  oneLoadPerProcess: {
    says: 'readers of one process share a fill',
    edits: [
      {
        file: 'engine/reader.ts',
        replace: 'const current = this.#flights.current(key, nowMs)',
        by: 'const current = undefined as never',
      },
    ],
    behind: [LOADS_BESIDE_THEMSELVES],
    profiles: ['alone'],
  },
  oneLoadPerLease: {
    says: 'one process of the fleet fills, the others wait',
    edits: [
      {
        file: STORE,
        replace: 'if (lease && lease.untilMs > now) {',
        by: 'if (lease && lease.untilMs < 0) {',
      },
    ],
    profiles: ['stampede'],
  },
} satisfies Record<string, Ablation>
