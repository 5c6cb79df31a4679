import type { Profile } from './profile.js'
import { MEMORY } from './profiles/memory.js'
import { RELAYS } from './profiles/relays.js'
import { ROWS } from './profiles/rows.js'
import { STANDBYS } from './profiles/standbys.js'

/** The kinds of runs there are. */
export const PROFILES = { ...ROWS, ...MEMORY, ...RELAYS, ...STANDBYS } satisfies Record<string, Profile>

export type ProfileName = keyof typeof PROFILES
export const PROFILE_NAMES = Object.keys(PROFILES) as ProfileName[]

/** Each seed is of one profile, so that seeds of one can be picked out. */
export function profileOf(seed: number): ProfileName {
  return PROFILE_NAMES[seed % PROFILE_NAMES.length] as ProfileName
}
