import type { Place, Service } from './place.js'

/** Loaded when they are asked for. */
export const EXAMPLES = {
  inventory: () => import('./inventory/service.js'),
  sessions: () => import('./sessions/service.js'),
  balances: () => import('./balances/service.js'),
  orders: () => import('./orders/service.js'),
  rankings: () => import('./rankings/service.js'),
} as const satisfies Record<string, () => Promise<{ start(place: Place): Promise<Service> }>>

export type ExampleName = keyof typeof EXAMPLES

export function isExample(name: string): name is ExampleName {
  return Object.hasOwn(EXAMPLES, name)
}
