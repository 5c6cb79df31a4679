/** How a server sees its transactions, as `pg_current_snapshot()` prints it. */
export interface Snapshot {
  readonly xmin: number
  readonly xmax: number
  /** In progress below `xmax`. */
  readonly open: readonly number[]
}

export function printSnapshot({ xmin, xmax, open }: Snapshot): string {
  return `${xmin}:${xmax}:${open.join(',')}`
}

export function parseSnapshot(text: string): Snapshot {
  const [xmin = '', xmax = '', open = ''] = text.split(':')
  return { xmin: Number(xmin), xmax: Number(xmax), open: open === '' ? [] : open.split(',').map(Number) }
}

/** `pg_visible_in_snapshot`: whether the transaction had ended then. */
export function isVisible(xid: number, { xmax, open }: Snapshot): boolean {
  return xid < xmax && !open.includes(xid)
}
