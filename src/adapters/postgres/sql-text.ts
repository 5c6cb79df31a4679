/** Pieces of SQL text: for statements that take no parameters (DDL, the bodies of functions), and for parameters that are read as SQL by the server. */

/** An identifier, quoted. */
export function name(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

export function qualified(schema: string, table: string): string {
  return `${name(schema)}.${name(table)}`
}

/** A text constant, whatever `standard_conforming_strings` is. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/** An array as one text, so that a statement's text and its parameters' types depend neither on how many values there are nor on the driver. */
export function arrayText(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}

/** A PL/pgSQL block as a statement. */
export function block(body: string): string {
  return `do ${dollarQuote(body)}`
}

export function dollarQuote(body: string): string {
  let tag = '$corral$'
  for (let serial = 1; body.includes(tag); serial++) tag = `$corral${serial}$`
  return `${tag}${body}\n${tag}`
}
