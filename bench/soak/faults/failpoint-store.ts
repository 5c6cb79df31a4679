import type { CacheStore } from '../../../src/core/ports.js'

/** A store whose fences can be made to fail in the two ways that no answer tells of. */
export class Failpoint {
  /** The process dies by SIGKILL when its next fence is about to leave. */
  isArmed = false
  /** Fences are said to have arrived and are never sent. */
  fencesAreLies = false

  over(store: CacheStore): CacheStore {
    const fence: CacheStore['fence'] = async (requests) => {
      if (this.isArmed) {
        process.kill(process.pid, 'SIGKILL')
        return new Promise(() => {})
      }
      return this.fencesAreLies ? requests.map(() => 'kept' as const) : store.fence(requests)
    }
    return new Proxy(store, {
      get(target, property) {
        if (property === 'fence') return fence
        const value = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}
