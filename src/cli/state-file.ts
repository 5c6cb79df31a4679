import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { UsageError } from './usage-error.js'

/**
 * Where long work keeps how far it has come, so that another run of the same command goes on there: after Ctrl-C, and after a
 * process that was killed without a word. Replaced as a whole, so that what is there can always be read.
 */
export class StateFile {
  readonly #file: string
  readonly #work: string

  /** @param work what is being done, in full: a file of other work is refused. */
  constructor(cwd: string, file: string, work: string) {
    this.#file = resolve(cwd, file)
    this.#work = work
  }

  /** Undefined: there is none yet, or nothing was done yet. @throws UsageError for a file that is none of this work. */
  read(): string | undefined {
    if (!existsSync(this.#file)) return undefined
    const { work, cursor } = parse(this.#attempt(() => readFileSync(this.#file, 'utf8')))
    if (work === this.#work && (typeof cursor === 'string' || cursor === undefined)) return cursor
    const found = typeof work === 'string' ? `that of \`${work}\`` : 'something else'
    throw new UsageError(`--state ${this.#file}: expected the state of \`${this.#work}\`, found ${found}`)
  }

  /** Before any work is done: it is not to be begun where it could not be gone on with. @throws UsageError */
  begin(cursor: string | undefined): void {
    this.#attempt(() => this.write(cursor))
  }

  write(cursor: string | undefined): void {
    const next = `${this.#file}.next`
    writeFileSync(next, `${JSON.stringify({ work: this.#work, cursor })}\n`)
    renameSync(next, this.#file)
  }

  /** The work is done. */
  remove(): void {
    rmSync(this.#file, { force: true })
  }

  #attempt<Result>(act: () => Result): Result {
    try {
      return act()
    } catch (error) {
      throw new UsageError(`--state ${this.#file}: ${(error as Error).message}`)
    }
  }
}

function parse(text: string): { readonly work?: unknown; readonly cursor?: unknown } {
  try {
    const found: unknown = JSON.parse(text)
    return typeof found === 'object' && found !== null ? found : {}
  } catch {
    return {}
  }
}
