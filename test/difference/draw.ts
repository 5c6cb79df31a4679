import type { Chance } from '../../src/core/clock.js'
import { seededChance } from '../support/seeded-chance.js'

/** What a seed decides. */
export class Draw {
  readonly #chance: Pick<Chance, 'number'>

  constructor(seed: number) {
    this.#chance = seededChance(seed)
  }

  happens(share: number): boolean {
    return this.#chance.number() < share
  }

  /** A whole number from 0 to below this. */
  below(most: number): number {
    return Math.floor(this.#chance.number() * most)
  }

  /** Undefined only where there is nothing to pick. */
  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item
  }

  /** One of the names, each as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][]
    let left = this.#chance.number() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0) return name
    }
    return (entries.at(-1) as [Name, number])[0]
  }
}
