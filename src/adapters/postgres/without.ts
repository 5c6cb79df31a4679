/**
 * A copy of a row without some of its properties. Copied rather than deleted from: an object that has lost properties is kept as a hash table by V8,
 * which makes it slower to read for whoever it is handed to.
 */
export function without(row: Readonly<Record<string, unknown>>, names: ReadonlySet<string>): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const name of Object.keys(row)) {
    if (names.has(name)) continue
    // Assigned, it would become the object's prototype; as a column it is one like the others.
    if (name === '__proto__') Object.defineProperty(kept, name, { ...PLAIN, value: row[name] })
    else kept[name] = row[name]
  }
  return kept
}

const PLAIN = { configurable: true, enumerable: true, writable: true } as const
