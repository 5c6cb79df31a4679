import type { Ablation } from '../ablation.js'

const STORE = 'adapters/memory/memory-store.ts'
const FENCER = 'engine/fencer.ts'

export const WRITES = {
  fencesAtAll: {
    says: 'a write is followed by a fence',
    edits: [
      { file: FENCER, replace: ': this.#send(fences)\n', by: ': this.#send([])\n' },
      { file: FENCER, replace: '[sending, this.#differing(changes, sure)]', by: '[sending, this.#differing([], [])]' },
    ],
    profiles: ['rows'],
  },
  fencesAfterCommit: {
    says: 'a key is fenced after its COMMIT, not before',
    edits: [
      {
        file: 'transaction.ts',
        replace: '      workIsDone = true\n      return result',
        by: '      workIsDone = true\n      await fencer.afterCommit(log.changes)\n      return result',
      },
      {
        file: 'transaction.ts',
        replace: 'return { value, fence: await tellCache(fencer, session, log.changes) }',
        by: "return { value, fence: 'fenced' }",
      },
    ],
    profiles: ['transactions'],
  },
  fillNeedsItsLease: {
    says: 'a fill without its token is refused',
    edits: [{ file: STORE, replace: "if (guard.lease?.token !== request.token) return 'lease-lost'", by: '' }],
    profiles: ['rows'],
  },
  fenceRevokesLease: {
    says: 'a fence revokes the lease of a fill under way',
    edits: [
      {
        file: STORE,
        replace: '      endLease(guard)\n      if (request.replacement',
        by: '      if (request.replacement',
      },
    ],
    profiles: ['unstamped', 'comings'],
  },
  replacesOnlyOlder: {
    says: 'a published row only takes the place of an older entry',
    edits: [
      { file: STORE, replace: 'request.replacement && version !== null && stored) {', by: 'request.replacement) {' },
      {
        file: STORE,
        replace: 'if (bytes === null && !request.rememberAlways && ',
        by: 'if (bytes === null && !request.replacement && !request.rememberAlways && ',
      },
    ],
    profiles: ['offers'],
  },
  offersOnlyWhatStayed: {
    says: 'a written row is published only if it still is what the statement returned',
    edits: [
      {
        file: 'table/row-offers.ts',
        replace: '(await this.#isStill(id, version)) ?',
        by: '(await this.#isStill(id, version)) || true ?',
      },
    ],
    profiles: ['offers'],
  },
  pendingIsNotRead: {
    says: 'a key whose fence is pending is not read from the cache',
    edits: [
      {
        file: 'assembly.ts',
        replace: 'isPending: (key) => pending.has(key) || outage.covers(key)',
        by: 'isPending: () => false',
      },
    ],
    profiles: ['unstamped'],
  },
  pendingIsSentAgain: {
    says: 'a fence the cache did not acknowledge is sent again',
    edits: [
      {
        file: 'engine/pending-fences.ts',
        replace: 'if (this.#cancelRetry || this.#fences.size === 0) return',
        by: 'return',
      },
    ],
    profiles: ['weather'],
  },
  doubtIsFencedTwice: {
    says: 'a COMMIT that was not answered is fenced again when its outcome is known',
    edits: [
      {
        file: FENCER,
        replace:
          'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {',
        by: 'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {\n    if (changes) return void (await this.afterCommit(changes.map((change) => ({ ...change, version: null }))))',
      },
    ],
    profiles: ['transactions'],
  },
  unknownCountsAsCommitted: {
    says: 'a COMMIT that was not answered counts as committed',
    edits: [
      {
        file: FENCER,
        replace:
          'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {',
        by: 'async afterUnknownCommit(changes: readonly Change[], xid: string | null, status: CommitStatus): Promise<void> {\n    if (changes) return',
      },
    ],
    profiles: ['transactions'],
  },
} satisfies Record<string, Ablation>
