import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { builtModule } from './built.js'

/** What a worker can be asked: a function for each question. Arguments and answers travel as structured clones. */
// biome-ignore lint/suspicious/noExplicitAny: each worker has questions of its own
export type Talk = Record<string, (...values: any[]) => any>

type Answer<Asked extends Talk, Name extends keyof Asked> = Promise<Awaited<ReturnType<Asked[Name]>>>

/** From the benchmark to a worker. */
export interface Question {
  readonly number: number
  readonly name: string
  readonly values: readonly unknown[]
}

/** From a worker to the benchmark: the answer to a question, its failure, or a word nobody asked for. */
export type Word =
  | { readonly number: number; readonly answer: unknown }
  | { readonly number: number; readonly failure: string }
  | { readonly said: string }

export interface WorkerOptions {
  /** Node options beside those of this process. */
  readonly nodeOptions?: readonly string[]
  /** Write a CPU profile into this folder when the process ends. */
  readonly profileFolder?: string | undefined
}

/**
 * A process of its own that runs `module`, which answers questions with `answerQuestions`. It ends with this process,
 * however that ends.
 */
export class Worker<Asked extends Talk> {
  /** Called for every word the worker says without having been asked. */
  onSaid: (said: string) => void = () => {}
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>()
  #number = 0

  constructor(module: URL, { nodeOptions = [], profileFolder }: WorkerOptions = {}) {
    const profile = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]
    const built = builtModule(module)
    // What is built needs none of the loaders that run this process.
    const inherited = built === module ? process.execArgv : []
    this.#process = fork(fileURLToPath(built), {
      execArgv: [...inherited, ...nodeOptions, ...profile],
      serialization: 'advanced',
    })
    this.#process.on('message', (word: Word) => this.#hear(word))
    this.#process.on('exit', (code, signal) => this.#failAll(`the worker ended early with ${signal ?? code}`))
  }

  ask<Name extends keyof Asked & string>(name: Name, ...values: Parameters<Asked[Name]>): Answer<Asked, Name> {
    const number = ++this.#number
    const question: Question = { number, name, values }
    return new Promise<unknown>((resolve, reject) => {
      if (!this.#process.connected) return reject(new Error(`the worker is gone and cannot answer \`${name}\``))
      this.#waiting.set(number, { resolve, reject })
      this.#process.send(question, (error) => error && this.#settle(number)?.reject(error))
    }) as Answer<Asked, Name>
  }

  /** Such as SIGSTOP and SIGCONT: the process stands still, and does not know it. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** SIGKILL: the process gets no chance to tidy up. Questions under way fail. */
  async kill(): Promise<void> {
    const ended = this.ended()
    this.#process.kill('SIGKILL')
    await ended
  }

  /** Lets the process end in good order. */
  async stop(): Promise<void> {
    const ended = this.ended()
    if (this.#process.connected) this.#process.disconnect()
    await ended
  }

  /** Resolves when the process is gone, however it ended. */
  async ended(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit')
  }

  #hear(word: Word): void {
    if ('said' in word) this.onSaid(word.said)
    else if ('failure' in word) this.#settle(word.number)?.reject(new Error(word.failure))
    else this.#settle(word.number)?.resolve(word.answer)
  }

  #settle(number: number) {
    const waiting = this.#waiting.get(number)
    this.#waiting.delete(number)
    return waiting
  }

  #failAll(reason: string): void {
    for (const number of [...this.#waiting.keys()]) this.#settle(number)?.reject(new Error(reason))
  }
}
