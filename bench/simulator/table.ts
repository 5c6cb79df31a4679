export interface Table {
  readonly title: string
  /** How the figures came about, in one sentence. */
  readonly setting: string
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** A table as Markdown, so that what a run prints can be put into the docs as it is. */
export function toMarkdown(table: Table): string {
  const widths = table.header.map((name, column) =>
    Math.max(3, name.length, ...table.rows.map((row) => row[column]!.length)),
  )
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return [`### ${table.title}`, '', table.setting, '', line(table.header), rule, ...table.rows.map(line), ''].join('\n')
}

export const fixed = (value: number, digits = 2) => value.toFixed(digits)
export const percent = (share: number, digits = 2) => `${(100 * share).toFixed(digits)} %`
export const whole = (value: number) => value.toFixed(0)
