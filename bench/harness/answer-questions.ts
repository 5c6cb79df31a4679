import type { Question, Talk, Word } from './crew.js'

/** The worker's side of `Worker`: answers questions until the process that asks them is gone. */
export function answerQuestions(talk: Talk): void {
  process.on('message', ({ number, name, values }: Question) => {
    Promise.resolve()
      .then(() => talk[name]?.(...values))
      .then((answer) => tell({ number, answer }))
      .catch((error: Error) => tell({ number, failure: error.stack ?? String(error) }))
  })
  process.on('disconnect', () => process.exit())
}

/** A word nobody asked for. */
export function say(said: string): void {
  tell({ said })
}

function tell(word: Word): void {
  process.send?.(word)
}
