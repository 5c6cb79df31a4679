/** An error that the server answers with: what it says, it has settled. */
export class PgError extends Error {
  readonly severity = 'ERROR'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}
