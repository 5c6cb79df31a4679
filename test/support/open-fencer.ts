import type { CacheKey } from '../../src/core/key.js'
import { Background } from '../../src/engine/background.js'
import { Fencer } from '../../src/engine/fencer.js'
import { Floors } from '../../src/engine/floors.js'
import { Invalidation } from '../../src/engine/invalidation.js'
import { PendingFences } from '../../src/engine/pending-fences.js'
import { Singleflight } from '../../src/engine/singleflight.js'
import { ManualClock } from './manual-clock.js'

type Parts = ConstructorParameters<typeof Fencer>[0]

/** A fencer over `store`, alone in its process, and the fences it keeps for later. Rows have no copies but for those of `hot`. */
export function openFencer(
  options: Pick<Parts, 'store' | 'announce' | 'announcesBehind'> & {
    readonly emit?: Parts['emit']
    readonly hot: CacheKey
    readonly copies?: readonly CacheKey[] | undefined
  },
) {
  const { store, announce, announcesBehind = false, emit = () => {}, hot, copies = [] } = options
  const clock = new ManualClock()
  const pending = new PendingFences({ store, clock, maxKeys: 100, emit, announce })
  const fencer = new Fencer({
    ...{ store, clock, announce, announcesBehind, pending, emit, keepMs: 1_000 },
    invalidation: new Invalidation({ floors: new Floors(100), flights: new Singleflight() }),
    background: new Background(emit),
    copiesOf: (key) => (key === hot ? copies : []),
  })
  return { fencer, pending }
}
