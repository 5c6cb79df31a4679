export interface Table {
  /** Where it belongs in the docs: between `<!-- table: name -->` and `<!-- end -->`. */
  readonly name: string
  readonly title: string
  /** How the figures came about, in one sentence. */
  readonly setting: string
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Setting and table as Markdown, as they stand in the docs. */
export function toMarkdown(table: Table): string {
  const widths = table.header.map((name, column) =>
    Math.max(3, name.length, ...table.rows.map((row) => row[column]!.length)),
  )
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return [table.setting, '', line(table.header), rule, ...table.rows.map(line)].join('\n')
}

/**
 * A page with these tables in their places.
 *
 * @throws Error for a table that has no place, or a place that no table is for: a page must not keep figures nobody can make again.
 */
export function withTables(page: string, tables: readonly Table[]): string {
  const left = new Map(tables.map((table) => [table.name, table]))
  const filled = page.replace(PLACE, (_, name: string) => {
    const table = left.get(name)
    if (table === undefined) throw new Error(`the page has a place for a table \`${name}\`, which nobody makes`)
    left.delete(name)
    return `<!-- table: ${name} -->\n${toMarkdown(table)}\n<!-- end -->`
  })
  if (left.size > 0) throw new Error(`the page has no place for ${[...left.keys()].join(', ')}`)
  return filled
}

const PLACE = /<!-- table: (\S+) -->\n[\s\S]*?<!-- end -->/g

export const fixed = (value: number, digits = 2) => value.toFixed(digits)
export const percent = (share: number, digits = 2) => `${(100 * share).toFixed(digits)} %`
export const whole = (value: number) => value.toFixed(0)
