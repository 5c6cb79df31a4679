/** The places of what lies on each shard. */
export function byShard<Item>(items: readonly Item[], shardOf: (item: Item) => string): Map<string, number[]> {
  const places = new Map<string, number[]>()
  items.forEach((item, at) => {
    const shard = shardOf(item)
    const known = places.get(shard)
    if (known) known.push(at)
    else places.set(shard, [at])
  })
  return places
}
