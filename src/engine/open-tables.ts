/** A repository's table, which is opened when it is first used. */
export interface Openable<Table> {
  readonly table: () => Promise<Table>
}

/** The tables of an instance that have a repository, for those who come from the other side: queries and captured writes. */
export class OpenTables<Table extends { readonly facts: { readonly entity: string } }> {
  readonly #waiting = new Set<Openable<Table>>()
  readonly #open = new Map<string, Set<Table>>()

  add(repository: Openable<Table>): void {
    this.#waiting.add(repository)
  }

  /** Opens what is not open yet. A table that cannot be opened waits for the next time; its repository says what is wrong. */
  async openAll(): Promise<void> {
    if (this.#waiting.size === 0) return
    await Promise.allSettled(
      [...this.#waiting].map(async (repository) => {
        const table = await repository.table()
        this.#waiting.delete(repository)
        const { entity } = table.facts
        this.#open.set(entity, (this.#open.get(entity) ?? new Set()).add(table))
      }),
    )
  }

  /** The open tables of this name; one that has several repositories is there several times. */
  of(entity: string): readonly Table[] {
    return [...(this.#open.get(entity) ?? [])]
  }
}
