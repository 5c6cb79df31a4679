/** Tells the reader of a terminal, or of a log file, what is going on. */
export class Narrator {
  readonly #out: NodeJS.WriteStream
  #progressShown = false
  #progressAtMs = Number.NEGATIVE_INFINITY

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out
  }

  say(...lines: readonly string[]): void {
    this.#endProgress()
    for (const line of lines) this.#out.write(`${line}\n`)
  }

  /** Paragraphs, wrapped to the width of a page. */
  tell(...paragraphs: readonly string[]): void {
    for (const paragraph of paragraphs) this.say('', ...wrap(paragraph))
  }

  title(text: string): void {
    this.say('', text, '═'.repeat(text.length))
  }

  /** On a terminal one line that changes in place; elsewhere a plain line every five seconds. */
  progress(text: string): void {
    if (this.#out.isTTY) {
      this.#out.write(`\r\x1b[2K  ${text}`)
      this.#progressShown = true
      return
    }
    if (performance.now() - this.#progressAtMs < PLAIN_EVERY_MS) return
    this.#progressAtMs = performance.now()
    this.#out.write(`  ${text}\n`)
  }

  #endProgress(): void {
    this.#progressAtMs = Number.NEGATIVE_INFINITY
    if (this.#progressShown) this.#out.write('\n')
    this.#progressShown = false
  }
}

const PLAIN_EVERY_MS = 5_000
const PAGE_WIDTH = 100

function wrap(paragraph: string): string[] {
  const lines: string[] = []
  for (const word of paragraph.split(' ')) {
    const line = lines.at(-1)
    if (line !== undefined && line.length + 1 + word.length <= PAGE_WIDTH) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}
