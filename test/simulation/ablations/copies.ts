import type { Ablation } from '../ablation.js'

const FENCER = 'engine/fencer.ts'

export const COPIES = {
  relayFencesCopies: {
    says: 'the relay fences the copies too',
    edits: [
      {
        file: 'assembly.ts',
        replace: 'new Fencer({ store: shards, ...behind, emit: () => {} })',
        by: 'new Fencer({ store: shards, ...behind, emit: () => {}, copiesOf: () => [] })',
      },
    ],
    profiles: ['hot'],
  },
  copiesAfterEntry: {
    says: 'copies are fenced after their entry',
    edits: [
      {
        file: 'engine/fence-order.ts',
        replace: 'return [...cut(entries), ...cut(copies)]',
        by: 'return [...cut(copies), ...cut(entries)]',
      },
    ],
    profiles: ['copies'],
  },
  copiesAreFenced: {
    says: 'writers fence every copy a key may have, hot or not',
    edits: [
      {
        file: 'engine/hot-keys.ts',
        replace: 'if (this.#repositories.size === 0) return NO_KEYS\n',
        by: 'if (this.#repositories.size >= 0) return NO_KEYS\n',
      },
    ],
    profiles: ['copies'],
  },
  copyLeasesFirst: {
    says: 'the lease of a copy is taken before its entry is read',
    edits: [
      {
        file: 'engine/hot-copies.ts',
        replace: '    const lease = { key: copy, token, leaseMs',
        by: '    const early = await store.read(key).catch(() => null)\n    const lease = { key: copy, token, leaseMs',
      },
      {
        file: 'engine/hot-copies.ts',
        replace: 'this.#copyOf(copy, key, await store.read(key).catch(() => null))',
        by: 'this.#copyOf(copy, key, early)',
      },
    ],
    profiles: ['copies'],
  },
  acknowledgesAfterCopies: {
    says: 'a write is acknowledged when the last copy is fenced',
    edits: [
      {
        file: FENCER,
        replace: '    const fences = [...entries, ...entries.flatMap((entry) => this.#copyFences(entry))]',
        by: '    const fences = [...entries]\n    void this.#send(entries.flatMap((entry) => this.#copyFences(entry)))',
      },
    ],
    profiles: ['copies'],
  },
} satisfies Record<string, Ablation>
