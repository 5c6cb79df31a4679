/**
 * The one clock that all processes of this machine share: Linux' CLOCK_MONOTONIC and its likes, which `process.hrtime`
 * reads, start with the machine and not with the process. `Fleet` checks that before it relies on it.
 */
export class SharedClock {
  readonly originNs: bigint

  /** @param originNs what counts as zero; given to every process that takes part. */
  constructor(originNs = process.hrtime.bigint()) {
    this.originNs = originNs
  }

  nowMs(): number {
    return Number(process.hrtime.bigint() - this.originNs) / 1e6
  }

  async until(dueMs: number): Promise<void> {
    const waitMs = dueMs - this.nowMs()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}
