/** A repository's table, which is opened when it is first used. */
export interface Openable<Table> {
  /** As the application calls it. */
  readonly name: string
  readonly table: () => Promise<Table>
}

/** The tables of an instance that have a repository, for those who come from the other side: queries and captured writes. */
export class OpenTables<Table extends { readonly facts: { readonly entity: string } }> {
  readonly #all = new Set<Openable<Table>>()
  readonly #waiting = new Set<Openable<Table>>()
  readonly #open = new Map<string, Set<Table>>()

  add(repository: Openable<Table>): void {
    this.#all.add(repository)
    this.#waiting.add(repository)
  }

  /** Those with one of these names, or all; opened. Rejects when one of them cannot be. */
  named(names?: readonly string[]): Promise<Table[]> {
    const chosen = [...this.#all].filter(({ name }) => names?.includes(name) ?? true)
    return Promise.all(chosen.map(({ table }) => table()))
  }

  get names(): readonly string[] {
    return [...new Set([...this.#all].map(({ name }) => name))]
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
