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
  await inLines(times, width, (each, line) => oneAfterAnother(get, ids, each, line * 617))
}

/** Shares `times` out among `width` lines that run at once: no more are done than are counted. */
export async function inLines(
  times: number,
  width: number,
  run: (each: number, line: number) => Promise<void>,
): Promise<void> {
  const least = Math.floor(times / width)
  await Promise.all(Array.from({ length: width }, (_, line) => run(line < times % width ? least + 1 : least, line)))
}
