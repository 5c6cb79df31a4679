/** SQLSTATEs of a server that ends a session, and codes of a socket that has broken. */
const CODES = ['57P01', '57P02', '57P03', '57P05', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH']
/** What `pg` says where it knows no more. */
const MESSAGE = 'Connection terminated unexpectedly'

/**
 * Whether an error tells of a connection that has broken. `pg` throws such a one out of nowhere where the config's pool has no listener for it;
 * whoever waits for an answer is told of it, too, and can go on.
 */
export function isLostConnection(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  return CODES.includes(String(code)) || message === MESSAGE
}
