/**
 * Counts what a process sends to Postgres, by the text of the statements as Kysely logs them: outside of both caches,
 * so that neither has a say in it.
 */
export class StatementCounter {
  #loads = 0
  #transactions = 0

  count(text: string): void {
    const statement = text.trimStart().toLowerCase()
    if (statement.startsWith('select') && !statement.endsWith('for update')) this.#loads++
    if (!isInsideSale(statement)) this.#transactions++
  }

  /** SELECTs that lock nothing: reads of the database on behalf of a cache. */
  get loads(): number {
    return this.#loads
  }

  /** What Postgres counts as committed transactions: each statement by itself, and a sale's four as one. */
  get transactions(): number {
    return this.#transactions
  }
}

/** A sale is begin, select for update, update, commit; the commit stands for all of it. */
function isInsideSale(statement: string): boolean {
  return statement === 'begin' || statement.endsWith('for update') || statement.startsWith('update "inventory"')
}
