import { expect } from 'vitest'
import { isCorralError } from '../../src/core/errors.js'

/** What the refusal of an option says. Fails when nothing is refused, or by another error. */
export function refusalOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(isCorralError(error, 'CONFIG_INVALID')).toBe(true)
    return (error as Error).message
  }
  throw new Error('nothing was thrown')
}
