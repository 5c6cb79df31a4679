/** A repository's table, which is opened when it is first used. */
export interface Openable<Table, Connection> {
  /** As the application calls it. */
  readonly name: string
  readonly table: () => Promise<Table>
  /** The same, waited for no longer than a read waits for it. It goes on being opened. */
  readonly tableToRead: () => Promise<Table>
  /** The same on the connection of a transaction, which may be the only one there is. */
  readonly tableInside: (tx?: Connection) => Promise<Table>
}

/** The tables of an instance that have a repository, for those who come from the other side: queries and captured writes. */
export class OpenTables<Table extends { readonly facts: { readonly entity: string } }, Connection> {
  readonly #all = new Set<Openable<Table, Connection>>()
  readonly #waiting = new Set<Openable<Table, Connection>>()
  readonly #open = new Map<string, Set<Table>>()

  add(repository: Openable<Table, Connection>): void {
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

  /**
   * Opens what is not open yet. A table that cannot be opened, or takes longer than a read would wait for it, waits for the next time; its repository
   * says what is wrong.
   */
  async openAll(): Promise<void> {
    await this.#openWaiting(() => true)
  }

  /** `openAll` for the repositories of one table alone, as the application calls it. */
  async openNamed(table: string): Promise<void> {
    await this.#openWaiting(({ name }) => name === table)
  }

  /**
   * Opens those that a transaction is about to write and that could not be opened before it began, on its own connection. Gives back how those are
   * called that still cannot be.
   */
  async openInside(tx: Connection, isWritten: (name: string) => boolean): Promise<readonly string[]> {
    const missing: string[] = []
    for (const repository of [...this.#waiting].filter(({ name }) => isWritten(name))) {
      try {
        this.#add(repository, await repository.tableInside(tx))
      } catch {
        missing.push(repository.name)
      }
    }
    return missing
  }

  async #openWaiting(isWanted: (repository: Openable<Table, Connection>) => boolean): Promise<void> {
    if (this.#waiting.size === 0) return
    const waiting = [...this.#waiting].filter(isWanted)
    await Promise.allSettled(waiting.map(async (each) => this.#add(each, await each.tableToRead())))
  }

  #add(repository: Openable<Table, Connection>, table: Table): void {
    this.#waiting.delete(repository)
    const { entity } = table.facts
    this.#open.set(entity, (this.#open.get(entity) ?? new Set()).add(table))
  }

  /** The open tables of this name; one that has several repositories is there several times. */
  of(entity: string): readonly Table[] {
    return [...(this.#open.get(entity) ?? [])]
  }
}
