/** What to say of an error and, where it does not say so itself, of what has caused it. Never its stack. */
export function reasonOf(error: unknown): string {
  const message = messageOf(error)
  const { cause } = (error ?? {}) as { cause?: unknown }
  const reason = cause === undefined ? '' : messageOf(cause)
  return reason === '' || message.includes(reason) ? message : `${message}: ${reason}`
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || String((error as { code?: unknown }).code ?? 'unknown error')
}
