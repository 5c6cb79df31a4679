/**
 * Calls what the application has brought: a sampler, a span processor, a meter. What those throw is their own affair and must not fail what they
 * watch, least of all a write that has been committed.
 */
export function quietly<Result>(act: () => Result): Result | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
