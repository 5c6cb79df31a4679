import type { CascadingKey, CatalogEdges, CatalogRelation } from './relation-query.js'

/** What a change of a table's rows changes besides them, by foreign keys. */
export interface Cascade {
  readonly onDelete: boolean
  readonly onUpdate: boolean
  /** An update that sets none of these does not cascade. */
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
  return {
    ...relation,
    roots: rootsOf(relation.entity),
    bases: [...new Set(bases.flatMap(rootsOf))],
    cascades: keys
      .filter(({ from }) => ancestors.includes(from))
      .map((key) => ({ ...key, reaches: [...new Set(cascadeOf(key, keys).flatMap(rootsOf))] })),
  }
}

/** A cascade changes rows of the table it comes to, which may set off that table's own cascades of either kind. */
function cascadeOf({ to }: CascadingKey, keys: readonly CascadingKey[]): string[] {
  return reachable(
    to,
    keys.map((key) => [key.from, key.to]),
  )
}

/** Everything that can be come to from `start`, itself included. */
function reachable(start: string, edges: readonly (readonly [string, string])[]): string[] {
  const reached = new Set([start])
  // A set that is gone through goes on to what is added meanwhile.
  for (const here of reached) for (const [from, to] of edges) if (from === here) reached.add(to)
  return [...reached]
}
