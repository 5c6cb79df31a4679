/** One read by id, however it is done. */
export type Get = (id: number) => Promise<unknown>

/**
 * Reads `times` ids one after the other.
 *
 * @param ids a power of two of them, gone through again and again.
 * @throws Error for an answer that is missing: a fast miss must not pass for a hit.
 */
export async function oneAfterAnother(get: Get, ids: Uint32Array, times: number, from = 0): Promise<void> {
  const mask = ids.length - 1
  for (let at = from; at < from + times; at++) {
    const id = ids[at & mask] as number
    if ((await get(id)) === undefined) throw new Error(`no answer for id ${id}`)
  }
}

/** The same in `width` lines at once, each of which waits for its own answers only. */
export async function sideBySide(get: Get, ids: Uint32Array, times: number, width: number): Promise<void> {
  const each = Math.ceil(times / width)
  await Promise.all(Array.from({ length: width }, (_, line) => oneAfterAnother(get, ids, each, line * 617)))
}
