import { isVisible, parseSnapshot } from '../../simulation/postgres/snapshot.js'

/** Where a number of the server's own stands: two servers need not say the same, but must mean the same by it. */
type Own = 'version' | 'xid' | 'snapshot' | 'outbox id'

interface Pair {
  readonly real: bigint
  readonly model: bigint
}

/** Closer stamps than clocks ever give follow from one another, and have to be as far apart on both sides. */
const FOLLOWING = 5n
const SEES_NOTHING = '1:1:'

/**
 * Which stamp, transaction, snapshot and outbox row of the model stands for which of the real server. They are paired where they
 * first stand in the same place of an answer; from then on both sides must use them alike, and order them alike.
 */
export class Counterparts {
  readonly #versions = new Map<string, Pair[]>()
  readonly #xids: Pair[] = []
  readonly #outboxIds: Pair[] = []
  readonly #snapshots = new Map<string, string>([[SEES_NOTHING, SEES_NOTHING]])

  /** Transactions that have written something and said so. */
  get xids(): readonly string[] {
    return this.#xids.map(({ real }) => String(real))
  }

  /** Stamps that a row has had, oldest first. */
  versionsOf(id: string): readonly string[] {
    return (this.#versions.get(id) ?? []).map(({ real }) => String(real)).sort()
  }

  /** Says what is wrong with taking these two for the same; undefined: nothing. `of`: the row whose stamps they are. */
  pair(own: Exclude<Own, 'snapshot'>, real: string, model: string, of = ''): string | undefined {
    const known = own === 'version' ? this.#versionsOf(of) : own === 'xid' ? this.#xids : this.#outboxIds
    const found: Pair = { real: BigInt(real), model: BigInt(model) }
    for (const other of known) {
      const [byReal, byModel] = [found.real - other.real, found.model - other.model]
      if (byReal === 0n && byModel === 0n) return undefined
      if (byReal === byModel || isAlike[own](byReal, byModel)) continue
      return `${own} ${real} of the real one is ${model} of the model, though ${other.real} is ${other.model}`
    }
    known.push(found)
    return undefined
  }

  /** Compares what two snapshots see of all known transactions. `own`: the asker's, which no snapshot of its own lists reliably. */
  pairSnapshots(real: string, model: string, own: string | undefined): string | undefined {
    this.#snapshots.set(real, model)
    const [theirs, ours] = [parseSnapshot(real), parseSnapshot(model)]
    for (const xid of this.#xids) {
      if (String(xid.real) === own) continue
      const sees = isVisible(Number(xid.real), theirs)
      if (sees === isVisible(Number(xid.model), ours)) continue
      const says = sees ? 'the real one sees it, the model does not' : 'the model sees it, the real one does not'
      return `snapshots ${real} and ${model} differ in transaction ${xid.real}, of the model ${xid.model}: ${says}`
    }
    return undefined
  }

  /** What the model is to be told where the real server is told this. */
  ofModel(own: Own, real: string, of = ''): string {
    if (own === 'snapshot') return this.#snapshots.get(real) ?? real
    const known = own === 'version' ? this.#versionsOf(of) : own === 'xid' ? this.#xids : this.#outboxIds
    const found = known.find((pair) => String(pair.real) === real)
    return found ? String(found.model) : real
  }

  #versionsOf(id: string): Pair[] {
    const known = this.#versions.get(id) ?? []
    this.#versions.set(id, known)
    return known
  }
}

/** Whether two that are so far apart on one side and so far on the other may stand for the same two. */
const isAlike: Readonly<Record<Exclude<Own, 'snapshot'>, (byReal: bigint, byModel: bigint) => boolean>> = {
  version: (byReal, byModel) =>
    byReal > 0n ? byReal > FOLLOWING && byModel > FOLLOWING : byReal < -FOLLOWING && byModel < -FOLLOWING,
  xid: (byReal, byModel) => (byReal > 0n ? byModel > 0n : byReal < 0n && byModel < 0n),
  // Sessions draw them in advance: only those of one transaction are in order.
  'outbox id': (byReal, byModel) => byReal !== 0n && byModel !== 0n,
}
