import type { CascadingKey, CatalogEdges, CatalogRelation } from './relation-query.js'

/** What a change of a table's rows changes besides them, by one foreign key and all that follow from it. */
export interface Cascade {
  /** What sets it off: a delete, or an update that sets one of the columns. */
  readonly by: 'delete' | 'update'
  readonly columns: readonly string[]
  /** Roots of everything the cascade may come to. */
  readonly reaches: readonly string[]
}

/** A relation, and what a write of it may show in or change. */
export interface Relation extends CatalogRelation {
  /** Where its inheritance or partition tree begins; itself when it is in none. A write anywhere in a tree may show everywhere in it. */
  readonly roots: readonly string[]
  /** Of a view: roots of the tables below it, views resolved. A write to the view is a write to them. */
  readonly bases: readonly string[]
  readonly cascades: readonly Cascade[]
}

/** Places a relation among the others of its database. */
export function placeRelation(relation: CatalogRelation, { parents, reads, keys }: CatalogEdges): Relation {
  const children = new Set(parents.map(([child]) => child))
  const rootsOf = (entity: string): string[] => reachable(entity, parents).filter((each) => !children.has(each))
  const ancestors = reachable(relation.entity, parents)
  const views = new Set(reads.map(([view]) => view))
  const bases = reachable(relation.entity, reads).filter((each) => each !== relation.entity && !views.has(each))
  const written = [...ancestors, ...bases]
  return {
    ...relation,
    // A view may call the columns of its tables something else.
    rewrites: relation.rewrites || bases.length > 0,
    roots: rootsOf(relation.entity),
    bases: [...new Set(bases.flatMap(rootsOf))],
    cascades: keys
      .filter(({ from }) => written.includes(from))
      .flatMap((key) => stepsOf(key).map(({ by, step }) => ({ by, columns: key.columns, reaches: follow(step, keys) })))
      .map((cascade) => ({ ...cascade, reaches: [...new Set(cascade.reaches.flatMap(rootsOf))] })),
  }
}

/** Something the database does to the rows of a table by itself. */
interface Step {
  readonly entity: string
  readonly does: 'delete' | 'update'
  /** The columns an update sets. */
  readonly columns: readonly string[]
}

/** What a key does when what it refers to is deleted, and when it is updated. */
function stepsOf({ to, onDelete, onUpdate, toColumns }: CascadingKey): { by: 'delete' | 'update'; step: Step }[] {
  const step = (does: Step['does']): Step => ({ entity: to, does, columns: toColumns })
  return [
    ...(onDelete ? [{ by: 'delete' as const, step: step(onDelete) }] : []),
    ...(onUpdate ? [{ by: 'update' as const, step: step(onUpdate) }] : []),
  ]
}

/** The entities that the database changes in the course of a step. */
function follow(first: Step, keys: readonly CascadingKey[]): string[] {
  const steps = new Map([[JSON.stringify(first), first]])
  // A map that is gone through goes on to what is added meanwhile.
  for (const { entity, does, columns } of steps.values()) {
    for (const key of keys.filter(({ from }) => from === entity)) {
      const isSetOff = does === 'delete' || key.columns.some((column) => columns.includes(column))
      const next = isSetOff ? stepsOf(key).filter(({ by }) => by === does) : []
      for (const { step } of next) steps.set(JSON.stringify(step), step)
    }
  }
  return [...new Set([...steps.values()].map(({ entity }) => entity))]
}

/** Everything that can be come to from `start`, itself included. */
function reachable(start: string, edges: readonly (readonly [string, string])[]): string[] {
  const reached = new Set([start])
  // A set that is gone through goes on to what is added meanwhile.
  for (const here of reached) for (const [from, to] of edges) if (from === here) reached.add(to)
  return [...reached]
}
