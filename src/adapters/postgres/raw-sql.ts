import { AliasNode, type OperationNode, RawNode, TableNode, ValueNode } from 'kysely'
import { type Field, isSubquery } from './operation-tree.js'
import { isCurrentTime, SESSION_WORDS } from './sql-functions.js'
import { type Token, tokensOf } from './sql-tokens.js'

/** What raw SQL inside a query does, as far as its text tells. */
export interface RawFindings {
  /** Functions it may call: real names, with the schema where it is given. Key words that look like calls are among them. */
  readonly functions: readonly string[]
  /** Names behind a dot. */
  readonly fields: readonly Field[]
  /** Embedded tables and subqueries that it reads from. */
  readonly sources: readonly OperationNode[]
  /** Why its result may differ between two readings of one state of the tables; undefined: it does not. */
  readonly changing: string | undefined
  /** Why the tables it reads cannot be known; undefined: they can. */
  readonly opaque: string | undefined
}

/** Functions whose arguments are separated by key words, `from` among them. */
const FROM_IN_ARGUMENTS = new Set(['extract', 'substring', 'trim', 'overlay', 'position'])
const WRITING = new Set(['insert', 'update', 'delete', 'merge', 'truncate', 'into'])

/** Words that end a FROM clause. */
const AFTER_FROM = new Set([
  ...['where', 'group', 'having', 'window', 'union', 'intersect', 'except', 'order', 'limit', 'offset', 'fetch', 'for'],
])

/** Reads raw SQL word by word. What is not surely harmless is reported; nothing is executed. */
export function readRawSql(raw: RawNode): RawFindings {
  const tokens = tokensOf(raw)
  if (tokens === undefined) {
    return {
      functions: [],
      fields: [],
      sources: [],
      changing: undefined,
      opaque: 'raw SQL with a literal that cannot be read',
    }
  }
  return new RawReading(tokens).findings()
}

/**
 * Whether a raw statement may change rows, with the word that says so. Functions it calls are not looked into, and what
 * cannot be read counts as writing.
 */
export function writingWordOf(raw: RawNode): string | undefined {
  const tokens = tokensOf(raw)
  if (tokens === undefined) return 'raw SQL'
  const first = tokens[0]
  if (first?.kind === 'word' && ['call', 'do', 'copy', 'execute', 'refresh'].includes(first.text)) return first.text
  for (const [at, token] of tokens.entries()) {
    if (token.kind !== 'word' || token.quoted || token.text === 'into' || !WRITING.has(token.text)) continue
    if (token.text === 'update' && isLock(tokens, at)) continue
    return token.text
  }
  return undefined
}

/** Words of statements that define what a name means, or where it is looked for. */
const MOVING = new Set(['create', 'alter', 'drop', 'schema'])
/** Statements that may do anything. */
const UNCLEAR = new Set(['do', 'call', 'discard'])
const SEARCH_PATH = 'search_path'

/** Whether a name may mean another table behind a raw statement, on this connection at least. Functions it calls are not looked into. */
export function mayMoveNames(raw: RawNode): boolean {
  const tokens = tokensOf(raw)
  if (tokens === undefined) return true
  return tokens.some((token, at) => {
    if (token.kind === 'text') return token.text.toLowerCase() === SEARCH_PATH
    if (token.kind === 'node') return ValueNode.is(token.node) && token.node.value === SEARCH_PATH
    if (token.kind !== 'word') return false
    if (token.quoted || token.text === SEARCH_PATH) return token.text === SEARCH_PATH
    // `select … into` makes a table.
    if (token.text === 'into') return !['insert', 'merge'].includes(wordAt(tokens, at - 1) ?? '')
    const before = tokens[at - 1]
    const isFirst = before === undefined || (before.kind === 'sign' && before.text === ';')
    return MOVING.has(token.text) || (isFirst && UNCLEAR.has(token.text))
  })
}

/**
 * Whether raw SQL that stands among conditions may let rows through which those would not: Kysely puts no parentheses around it, and an OR
 * parts all there is between those that are. So does what cannot be read.
 */
export function mayPartConditions(raw: RawNode): boolean {
  const tokens = tokensOf(raw)
  if (tokens === undefined) return true
  let depth = 0
  return tokens.some((token, at) => {
    if (token.kind === 'sign' && '(['.includes(token.text)) depth++
    if (token.kind === 'sign' && ')]'.includes(token.text)) depth--
    return depth < 0 || (depth === 0 && wordAt(tokens, at) === 'or')
  })
}

/** Whether raw SQL is comments and nothing else. */
export function isComment(node: OperationNode): boolean {
  return RawNode.is(node) && tokensOf(node)?.length === 0
}

/** `for update` and `for no key update` write nothing. */
function isLock(tokens: readonly Token[], at: number): boolean {
  const [one, two, three] = [1, 2, 3].map((back) => wordAt(tokens, at - back))
  return one === 'for' || (one === 'key' && two === 'no' && three === 'for')
}

class RawReading {
  readonly #tokens: readonly Token[]
  readonly #functions = new Set<string>()
  readonly #fields: Field[] = []
  readonly #sources: OperationNode[] = []
  #changing: string | undefined
  #opaque: string | undefined

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  findings(): RawFindings {
    /** The word in front of each open parenthesis. */
    const openers: (string | undefined)[] = []
    this.#tokens.forEach((token, at) => {
      if (token.kind === 'text' && isCurrentTime(token.text)) {
        this.#changing ??= `raw SQL contains '${token.text}', which depends on the time`
      }
      if (token.kind === 'sign' && token.text === '(') openers.push(wordAt(this.#tokens, at - 1))
      if (token.kind === 'sign' && token.text === ')') openers.pop()
      if (token.kind !== 'word') return
      if (this.#isSign(at + 1, '(')) this.#functions.add(this.#qualified(at, token.text))
      else if (this.#isSign(at - 1, '.')) this.#fields.push(this.#fieldAt(at, token.text))
      // Behind a dot stands a name, whatever it is called.
      if (!token.quoted && !this.#isSign(at - 1, '.')) this.#readWord(at, token.text, openers.at(-1))
    })
    return {
      functions: [...this.#functions],
      fields: this.#fields,
      sources: this.#sources,
      changing: this.#changing,
      opaque: this.#opaque,
    }
  }

  #readWord(at: number, word: string, opener: string | undefined): void {
    if (SESSION_WORDS.has(word)) this.#changing ??= `raw SQL contains ${word}, which depends on the time or the session`
    if (WRITING.has(word))
      this.#changing ??= `raw SQL contains ${word.toUpperCase()}: a cached query must not write or lock`
    switch (word) {
      case 'from':
        if (wordAt(this.#tokens, at - 1) === 'distinct' && this.#comparesAt(at - 1)) return
        if (opener !== undefined && FROM_IN_ARGUMENTS.has(opener) && !this.#selectsWithin(at)) return
        this.#readSource(at)
        return
      case 'join':
        this.#readSource(at)
        return
      case 'for':
        if (opener === undefined || !FROM_IN_ARGUMENTS.has(opener)) this.#readFor(at)
        return
      case 'table':
        this.#opaque ??= 'raw SQL contains TABLE'
        return
      case 'with':
        if (!['time', 'ordinality', 'ties'].includes(wordAt(this.#tokens, at + 1) ?? '')) {
          this.#opaque ??= 'raw SQL contains WITH'
        }
    }
  }

  /** What stands behind FROM or JOIN: an embedded table or subquery, and behind FROM no further table in a list. */
  #readSource(at: number): void {
    const place = wordAt(this.#tokens, at + 1) === 'lateral' ? at + 2 : at + 1
    const token = this.#tokens[place]
    const node = token?.kind === 'node' ? token.node : undefined
    const inner = node && AliasNode.is(node) ? node.node : node
    if (node === undefined || inner === undefined || !(TableNode.is(inner) || isSubquery(inner))) {
      this.#opaque ??= `raw SQL contains ${wordAt(this.#tokens, at)?.toUpperCase()}, and what it reads cannot be seen`
      return
    }
    this.#sources.push(node)
    if (this.#isList(place + 1)) this.#opaque ??= `raw SQL reads from a list of tables`
  }

  /** Whether there is a comma in the rest of a FROM clause. What stands in parentheses, such as the names of columns, has commas of its own. */
  #isList(start: number): boolean {
    let depth = 0
    for (let at = start; at < this.#tokens.length && depth >= 0; at++) {
      if (this.#isSign(at, '(') || this.#isSign(at, '[')) depth++
      if (this.#isSign(at, ')') || this.#isSign(at, ']')) depth--
      if (depth > 0) continue
      if (this.#isSign(at, ',')) return true
      const word = wordAt(this.#tokens, at)
      if (this.#isSign(at, ';') || (word && AFTER_FROM.has(word) && !this.#isSign(at - 1, '.'))) return false
    }
    return false
  }

  #readFor(at: number): void {
    const next = wordAt(this.#tokens, at + 1) ?? ''
    if (['update', 'share', 'no', 'key'].includes(next)) {
      this.#changing ??= 'raw SQL locks rows: a cached query must not write or lock'
    }
  }

  /** `is distinct from` and `is not distinct from` compare; `select distinct from` does not. */
  #comparesAt(distinctAt: number): boolean {
    const before = wordAt(this.#tokens, distinctAt - 1)
    return before === 'is' || (before === 'not' && wordAt(this.#tokens, distinctAt - 2) === 'is')
  }

  /** Whether the innermost parentheses around this place contain a SELECT in front of it. */
  #selectsWithin(at: number): boolean {
    let depth = 0
    for (let back = at - 1; back >= 0 && depth >= 0; back--) {
      if (this.#isSign(back, ')')) depth++
      if (this.#isSign(back, '(')) depth--
      if (depth === 0 && wordAt(this.#tokens, back) === 'select') return true
    }
    return false
  }

  #qualified(at: number, name: string): string {
    const schema = this.#tokens[at - 2]
    return this.#isSign(at - 1, '.') && schema?.kind === 'word' ? `${schema.text}.${name}` : name
  }

  #fieldAt(at: number, name: string): Field {
    const of = this.#tokens[at - 2]
    return { of: of?.kind === 'word' ? of.text : undefined, name }
  }

  #isSign(at: number, text: string): boolean {
    const token = this.#tokens[at]
    return token?.kind === 'sign' && token.text === text
  }
}

/** The unquoted word at this place. */
function wordAt(tokens: readonly Token[], at: number): string | undefined {
  const token = tokens[at]
  return token?.kind === 'word' && !token.quoted ? token.text : undefined
}
