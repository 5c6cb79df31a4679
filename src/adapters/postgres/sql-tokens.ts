import { type OperationNode, RawNode } from 'kysely'

/** A piece of raw SQL. `word`: a key word, a name or a number, lower case unless it was quoted. */
export type Token =
  | { readonly kind: 'word'; readonly text: string; readonly quoted: boolean }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'sign'; readonly text: string }
  /** Something that was put into the template and is no raw SQL itself. */
  | { readonly kind: 'node'; readonly node: OperationNode }

/** Stands for the n-th embedded node; NUL cannot occur in SQL. */
const PLACEHOLDER = /\0(\d+)\0/y

/** In the order they are tried. Each begins where the last one ended. */
const BLANK = /(?:\s|--[^\n\r]*)+/y
const STRING = /(?:(?:u&|[bxn])?'((?:[^']|'')*)'|e'((?:[^'\\]|\\[\s\S]|'')*)')/iy
const DOLLAR = /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$([\s\S]*?)\$\1\$/y
const QUOTED = /(?:u&)?"((?:[^"]|"")*)"/iy
const WORD = /[a-z_\u0080-\uffff][\w$\u0080-\uffff]*|\d[\w.]*/iy
const ANY = /[\s\S]/y

/**
 * Cuts raw SQL into tokens as Postgres would, comments left out, nested raw SQL put in place. Undefined when it cannot be
 * cut with certainty: a value inside a literal, a literal that does not end.
 */
export function tokensOf(raw: RawNode): Token[] | undefined {
  const nodes: OperationNode[] = []
  const text = flatten(raw, nodes)
  const tokens: Token[] = []
  for (let at = 0; at < text.length; ) {
    const comment = text.startsWith('/*', at) ? endOfComment(text, at) : at
    if (comment === undefined) return undefined
    if (comment > at) {
      at = comment
      continue
    }
    const [length, token] = next(text, at, nodes)
    if (token === 'unclear') return undefined
    if (token !== undefined) tokens.push(token)
    at += length
  }
  return tokens
}

function flatten(raw: RawNode, nodes: OperationNode[]): string {
  let text = ''
  raw.sqlFragments.forEach((fragment, at) => {
    // A NUL of the template's own would make a placeholder; no statement with one reaches the database.
    text += fragment.replaceAll('\0', ' ')
    const node = raw.parameters[at]
    if (node === undefined) return
    if (RawNode.is(node)) text += flatten(node, nodes)
    else text += `\0${nodes.push(node) - 1}\0`
  })
  return text
}

function next(text: string, at: number, nodes: readonly OperationNode[]): [number, Token | 'unclear' | undefined] {
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    return pattern.exec(text)
  }
  const blank = take(BLANK)
  if (blank) return [blank[0].length, undefined]
  const placeholder = take(PLACEHOLDER)
  if (placeholder)
    return [placeholder[0].length, { kind: 'node', node: nodes[Number(placeholder[1])] as OperationNode }]
  const literal = take(STRING) ?? take(DOLLAR)
  if (literal) return [literal[0].length, plain({ kind: 'text', text: literal[1] ?? literal[2] ?? '' }, literal[0])]
  const quoted = take(QUOTED)
  if (quoted) {
    const name = (quoted[1] as string).replaceAll('""', '"')
    return [quoted[0].length, plain({ kind: 'word', text: name, quoted: true }, quoted[0])]
  }
  const word = take(WORD)
  if (word) return [word[0].length, { kind: 'word', text: word[0].toLowerCase(), quoted: false }]
  const sign = (take(ANY) as RegExpExecArray)[0]
  // The beginning of a literal that has no end.
  return [1, sign === "'" || sign === '"' ? 'unclear' : { kind: 'sign', text: sign }]
}

function plain(token: Token, matched: string): Token | 'unclear' {
  return matched.includes('\0') ? 'unclear' : token
}

/** Comments nest. Undefined when one does not end. */
function endOfComment(text: string, start: number): number | undefined {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const two = text.slice(at, at + 2)
    if (two === '/*') depth++
    else if (two === '*/') depth--
    else continue
    at++
    if (depth === 0) return at + 1
  }
  return undefined
}
