/** What a check may take for granted. */
export interface CheckOptions {
  /** Every write of every row was recorded, the first ones included. Then what nobody wrote is a phantom. Default: only what was rolled back is. */
  readonly allWritesAreRecorded?: boolean
  /**
   * How far answers from memory may lag behind writes that other processes had acknowledged. Default: as far as they like, because
   * how long a lost message takes to be noticed is a setting (`bus.trustMs`).
   */
  readonly memoryLagMs?: number
  /** How long entries count as fresh, to say how many loads each expiry took. */
  readonly freshMs?: number
  /** Violations of each kind that are kept; all are counted. Default 100. */
  readonly maxExamples?: number
}
