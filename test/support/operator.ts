import { operate } from '../../src/inside.js'

const OPERATED = Symbol.for('corral.operated')

/** What `make` makes in an operator's process, see `operate`. Afterwards this one is an application's again: other tests run in it. */
export function asOperator<Value>(make: () => Value): Value {
  operate()
  try {
    return make()
  } finally {
    delete (globalThis as { [OPERATED]?: boolean })[OPERATED]
  }
}
