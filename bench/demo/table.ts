/** One line of the table: what is measured, then a cell for each column. */
export type TableRow = readonly [label: string, ...cells: string[]]

/** Lines of a table under its headings: labels to the left, figures to the right, a rule below the headings. */
export function formatTable(headings: TableRow, rows: readonly TableRow[]): string[] {
  const all = [headings, ...rows]
  const widths = headings.map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)))
  const format = (row: TableRow) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('    ')
  const rule = widths.map((width) => '─'.repeat(width)).join('────')
  return [format(headings), rule, ...rows.map(format)]
}

export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

export function formatShare(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

export function formatMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`
}

export function formatSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
