import type { Table } from '../simulator/table.js'
import { escaped } from './html.js'

/** A table that can be scrolled where the screen is narrow. All columns after the first `texts` hold figures. */
export function drawTable({ title, setting, header, rows }: Table, texts = 1): string {
  const look = (column: number) => (column < texts ? '' : ' class="n"')
  const head = header.map((name, column) => `<th${look(column)}>${escaped(name)}</th>`)
  const body = rows.map(
    (cells) => `<tr>${cells.map((cell, column) => `<td${look(column)}>${escaped(cell)}</td>`).join('')}</tr>`,
  )
  return `<h3>${escaped(title)}</h3><p class="soft">${escaped(setting)}</p>
<div class="wide"><table><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('')}</tbody></table></div>`
}
