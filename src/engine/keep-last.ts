/** Keeps a value as the last of at most `max`: the one that was kept longest ago goes. */
export function keepLast<Key, Value>(kept: Map<Key, Value>, key: Key, value: Value, max: number): void {
  kept.delete(key)
  kept.set(key, value)
  if (kept.size > max) kept.delete(kept.keys().next().value as Key)
}
