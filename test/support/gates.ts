/** A place where a call can be made to wait: races are written as "stop here, do that, go on". */
export interface Pause {
  /** Resolves when a call has arrived and waits. */
  readonly reached: Promise<void>
  /** Lets it go on. */
  resume(): void
}

/** Named points of a port at which the next call can be paused or made to fail. */
export class Gates<Point extends string> {
  readonly #pauses = new Map<Point, { arrive: () => void; open: Promise<void> }[]>()

  /** The next call that comes to `point` waits there until it is resumed. Asked twice: the next two calls. */
  pause(point: Point): Pause {
    let arrive = () => {}
    let resume = () => {}
    const reached = new Promise<void>((resolve) => {
      arrive = resolve
    })
    const open = new Promise<void>((resolve) => {
      resume = resolve
    })
    const waiting = this.#pauses.get(point) ?? []
    this.#pauses.set(point, [...waiting, { arrive, open }])
    return { reached, resume }
  }

  /** Called by the port when a call comes to `point`. */
  async pass(point: Point): Promise<void> {
    const pause = this.#pauses.get(point)?.shift()
    if (pause === undefined) return
    pause.arrive()
    await pause.open
  }
}
