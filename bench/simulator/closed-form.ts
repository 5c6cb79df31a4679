/**
 * XFetch without a lease, for requests that arrive at random (Poisson) at rate r, a load of D and an estimate d of it:
 * with s left until expiry, requests that start a refresh arrive at rate r exp(-s / (beta d)). See
 * docs/design/early-refresh.md for the derivation.
 */

/** Refreshes an expiry: exp(D / (beta d)), whatever the request rate. */
export function refreshesPerExpiry(loadMs: number, beta: number, estimateMs: number): number {
  return Math.exp(loadMs / (beta * estimateMs))
}

const EULER_GAMMA = 0.5772156649

/** How long before expiry the first refresh starts on average: beta d (ln(r beta d) + gamma). Gumbel distributed. */
export function meanHeadStartMs(ratePerSecond: number, beta: number, estimateMs: number): number {
  const scaleMs = beta * estimateMs
  return scaleMs * (Math.log((ratePerSecond * scaleMs) / 1_000) + EULER_GAMMA)
}
