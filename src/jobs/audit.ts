import type { Clock } from '../core/clock.js'
import type { CacheKey } from '../core/key.js'
import type { Version } from '../core/version.js'
import { Pace } from './pace.js'
import { patiently } from './patience.js'

/**
 * How a copy differs from its row. `behind`, `ahead`: by an older or a newer version; the latter after a database was restored. `gone`: there
 * is no such row. `hidden`: there is one, and the copy says there is none. `differs`: no version tells it, the contents do.
 */
export type DriftKind = 'behind' | 'ahead' | 'gone' | 'hidden' | 'differs'

/** `redis`: an entry, whatever store it is in. `copy`: a hot key's slot copy there. `memory`: this process' own. */
export type CopyPlace = 'redis' | 'copy' | 'memory'

/** A copy as it was found. */
export interface FoundCopy {
  /** Where it lies. Of one in memory, where its entry lies. */
  readonly key: CacheKey
  readonly place: CopyPlace
  readonly entity: string
  /** When it was filled at the earliest, milliseconds since the Unix epoch. */
  readonly filledAtMs: number
}

export interface Difference {
  /** `astray`: a lookup does not lead to the row that has the value. No drift, because what it leads to is checked for the value. */
  readonly kind: DriftKind | 'astray'
  /** What the row's version is now; null: there is none, or it does not order the two. */
  readonly version: Version | null
  /** When the row was last written; undefined where no stamp says. */
  readonly writtenAtMs: number | undefined
}

export interface Drift {
  readonly entity: string
  readonly key: string
  readonly kind: DriftKind
  readonly place: CopyPlace
  /** How long ago the row changed, or the copy was filled if that was later: longer it has not been out of date. */
  readonly ageMs: number
  readonly repair: 'none' | 'fenced' | 'pending'
}

/** Drifts by their age, which tells a slow fence from one that was lost. */
export interface DriftAges {
  readonly upTo10s: number
  readonly upTo1min: number
  readonly upTo5min: number
  readonly upTo1h: number
  readonly older: number
}

export interface AuditFigures {
  /** Copies compared with their rows. */
  readonly compared: number
  /** Entries that answer nobody: of another epoch, unreadable, or of a kind that does not belong under their key. */
  readonly unused: number
  /** Entries that could not be compared: results of queries, tables without a repository here, ids too long for a key, other shapes without a stamp. */
  readonly skipped: number
  /** Entries that this process should be able to decode, but cannot. Nobody knows whether they differ. Readers here take them for misses. */
  readonly undecoded: number
  /** Copies that differed at the first look only: a write was in flight. */
  readonly transient: number
  /**
   * Lookups that led, at both looks, to a row without the value. Every update of the value leaves one behind. Nobody is shown the wrong row: what a
   * lookup leads to is checked for the value. `repair` drops them too.
   */
  readonly astray: number
  /** Copies that differed at both. */
  readonly drifted: number
  /** Those of them whose fences the cache has acknowledged. */
  readonly repaired: number
  readonly kinds: { readonly [Kind in DriftKind]: number }
  readonly places: { readonly [Place in CopyPlace]: number }
  readonly ages: DriftAges
}

export const NO_FIGURES: AuditFigures = {
  ...{ compared: 0, unused: 0, skipped: 0, undecoded: 0, transient: 0, astray: 0, drifted: 0, repaired: 0 },
  kinds: { behind: 0, ahead: 0, gone: 0, hidden: 0, differs: 0 },
  places: { redis: 0, copy: 0, memory: 0 },
  ages: { upTo10s: 0, upTo1min: 0, upTo5min: 0, upTo1h: 0, older: 0 },
}

/** Some copies, and where the walk goes on behind them. */
export interface AuditPage<Copy extends FoundCopy, Position> {
  readonly copies: readonly Copy[]
  readonly unused: number
  readonly skipped: number
  readonly undecoded: number
  /** What it counts for against the rate. */
  readonly cost: number
  readonly position: Position
}

export interface AuditJob<Copy extends FoundCopy, Position> {
  readonly pages: AsyncIterable<AuditPage<Copy, Position>>
  /** Asks the database. In the order of the copies; undefined: no difference. */
  readonly compare: (copies: readonly Copy[]) => Promise<readonly (Difference | undefined)[]>
  /** Those of the copies that are still there, the very same. */
  readonly lookAgain: (copies: readonly Copy[]) => Promise<readonly Copy[]>
  /** Undefined: drift is only told. */
  readonly repair: ((copy: Copy, difference: Difference) => Promise<'fenced' | 'pending'>) | undefined
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'sleep'>
  /** Copies compared a second at most. */
  readonly ratePerSecond: number
  /** How long a copy that differs is given to be fenced by whoever wrote its row. */
  readonly recheckMs: number
  readonly signal: AbortSignal | undefined
  /** Of an earlier audit that this one goes on with. */
  readonly figures: AuditFigures
  readonly onDrift: (drift: Drift) => void
  readonly onCompared: (entity: string, rows: number) => void
  /** Everything up to this position is settled, rechecks included. Waited for; what it throws ends the audit. */
  readonly onSettled: (position: Position, figures: AuditFigures) => unknown
}

interface OpenPage<Position> {
  /** Suspects of it that wait for their second look. */
  waiting: number
  figures: AuditFigures
  readonly position: Position
}

interface Suspect<Copy, Position> {
  readonly copy: Copy
  readonly page: OpenPage<Position>
  readonly dueMs: number
}

/** Copies that wait for their second look at most; the walk waits when there are more. */
const MAX_SUSPECTS = 10_000
/** Second looks taken together. */
const RECHECKED_TOGETHER = 500

/**
 * Compares copies with their rows, page by page, no faster than it may.
 *
 * One that differs is looked at again after `recheckMs`: between a COMMIT and its fence every copy differs from its row, and so does one
 * whose fence the relay brings. Drift is only what is still the very same copy then, and still differs. It has been served for that
 * long by then, or could have been.
 *
 * @throws what the pages, the database, the cache and the listeners throw, after some patience; `signal.reason`.
 */
export async function audit<Copy extends FoundCopy, Position>(job: AuditJob<Copy, Position>): Promise<AuditFigures> {
  return new Audit(job).run()
}

class Audit<Copy extends FoundCopy, Position> {
  readonly #job: AuditJob<Copy, Position>
  readonly #pace: Pace
  #suspects: Suspect<Copy, Position>[] = []
  /** Pages that are not told yet, because one before them has suspects. */
  readonly #open: OpenPage<Position>[] = []
  #figures: AuditFigures

  constructor(job: AuditJob<Copy, Position>) {
    this.#job = job
    this.#figures = job.figures
    this.#pace = new Pace(job.clock, job.ratePerSecond)
  }

  async run(): Promise<AuditFigures> {
    const { pages, signal } = this.#job
    for await (const page of pages) {
      await this.#pace.turn(signal)
      await this.#look(page)
      await this.#recheckDue()
      while (this.#suspects.length > MAX_SUSPECTS) await this.#awaitNext()
      await this.#settle()
      this.#pace.spend(page.cost)
    }
    while (this.#suspects.length > 0) {
      await this.#awaitNext()
      await this.#settle()
    }
    signal?.throwIfAborted()
    return this.#figures
  }

  async #look(page: AuditPage<Copy, Position>): Promise<void> {
    const { compare, clock, signal, recheckMs } = this.#job
    const { copies, unused, skipped, undecoded, position } = page
    const differences = copies.length === 0 ? [] : await patiently({ clock, signal }, () => compare(copies))
    const figures = { ...NO_FIGURES, compared: copies.length, unused, skipped, undecoded }
    const suspects = copies.filter((_, at) => differences[at] !== undefined)
    const open = { waiting: suspects.length, figures, position }
    this.#open.push(open)
    const dueMs = clock.monotonicMs() + recheckMs
    for (const copy of suspects) this.#suspects.push({ copy, page: open, dueMs })
    for (const [entity, rows] of countBy(copies)) this.#job.onCompared(entity, rows)
  }

  async #awaitNext(): Promise<void> {
    const { clock, signal } = this.#job
    const waitMs = (this.#suspects[0] as Suspect<Copy, Position>).dueMs - clock.monotonicMs()
    if (waitMs > 0) await clock.sleep(waitMs, signal)
    signal?.throwIfAborted()
    await this.#recheckDue()
  }

  async #recheckDue(): Promise<void> {
    const { clock, lookAgain, compare, signal } = this.#job
    for (;;) {
      const nowMs = clock.monotonicMs()
      const due = this.#suspects.slice(0, RECHECKED_TOGETHER).filter(({ dueMs }) => dueMs <= nowMs)
      if (due.length === 0) return
      const pages = new Map(due.map(({ copy, page }) => [copy, page]))
      const still = await patiently({ clock, signal }, () => lookAgain([...pages.keys()]))
      const differences = still.length === 0 ? [] : await patiently({ clock, signal }, () => compare(still))
      for (const [at, copy] of still.entries()) {
        const difference = differences[at]
        if (difference === undefined) continue
        const page = pages.get(copy) as OpenPage<Position>
        page.figures = await this.#confirmed(page.figures, copy, difference)
        pages.delete(copy)
        page.waiting--
      }
      for (const page of pages.values()) {
        page.figures = { ...page.figures, transient: page.figures.transient + 1 }
        page.waiting--
      }
      this.#suspects = this.#suspects.slice(due.length)
    }
  }

  async #confirmed(figures: AuditFigures, copy: Copy, difference: Difference): Promise<AuditFigures> {
    const { repair, clock, onDrift } = this.#job
    const { kind, writtenAtMs = 0 } = difference
    const { entity, key, place, filledAtMs } = copy
    const ageMs = Math.max(0, Math.round(clock.wallMs() - Math.max(filledAtMs, writtenAtMs)))
    const outcome = repair ? await repair(copy, difference) : 'none'
    if (kind === 'astray') return { ...figures, astray: figures.astray + 1 }
    const drift = { entity, key, kind, place, ageMs, repair: outcome } as const
    onDrift(drift)
    return withDrift(figures, drift)
  }

  /** Tells of pages in their order, so that nothing before a position is still open. */
  async #settle(): Promise<void> {
    for (let first = this.#open[0]; first !== undefined && first.waiting === 0; first = this.#open[0]) {
      this.#open.shift()
      this.#figures = sum(this.#figures, first.figures)
      await this.#job.onSettled(first.position, this.#figures)
    }
  }
}

function countBy(copies: readonly FoundCopy[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { entity } of copies) counts.set(entity, (counts.get(entity) ?? 0) + 1)
  return counts
}

function withDrift(figures: AuditFigures, { kind, place, ageMs, repair }: Drift): AuditFigures {
  const { kinds, places, ages } = figures
  const age = ageOf(ageMs)
  return {
    ...figures,
    drifted: figures.drifted + 1,
    repaired: figures.repaired + (repair === 'fenced' ? 1 : 0),
    kinds: { ...kinds, [kind]: kinds[kind] + 1 },
    places: { ...places, [place]: places[place] + 1 },
    ages: { ...ages, [age]: ages[age] + 1 },
  }
}

function ageOf(ageMs: number): keyof DriftAges {
  if (ageMs <= 10_000) return 'upTo10s'
  if (ageMs <= 60_000) return 'upTo1min'
  if (ageMs <= 300_000) return 'upTo5min'
  return ageMs <= 3_600_000 ? 'upTo1h' : 'older'
}

function sum(some: AuditFigures, more: AuditFigures): AuditFigures {
  const add = <Counts extends { readonly [Name in keyof Counts]: number }>(a: Counts, b: Counts): Counts =>
    Object.fromEntries(Object.keys(a).map((name) => [name, a[name as keyof Counts] + b[name as keyof Counts]])) as never
  const { kinds, places, ages, ...counts } = some
  const { kinds: moreKinds, places: morePlaces, ages: moreAges, ...moreCounts } = more
  return {
    ...add(counts, moreCounts),
    kinds: add(kinds, moreKinds),
    places: add(places, morePlaces),
    ages: add(ages, moreAges),
  }
}
