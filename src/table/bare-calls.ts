import { ConfigError } from '../core/errors.js'
import { checkCallOptions } from './call-arguments.js'

type Call = (given: never, options?: unknown) => Promise<unknown>

/**
 * Calls inside a transaction, of which those named take one argument and no options: there is nothing to choose. Options of a call outside, given
 * all the same, would be passed over.
 *
 * @throws ConfigError from the call, naming the option.
 */
export function bareCalls<Calls extends object>(names: readonly NoInfer<keyof Calls>[], calls: Calls): Calls {
  const bare = names.map((name) => {
    const call = calls[name] as unknown as Call
    const checked: Call = async (given, options) => {
      checkNoOptions(String(name), options)
      return call(given)
    }
    return [name, checked]
  })
  return { ...calls, ...Object.fromEntries(bare) }
}

function checkNoOptions(call: string, options: unknown): void {
  if (options === undefined) return
  checkCallOptions(call, options, Object.keys(options ?? {}))
  for (const [option, value] of Object.entries(options as object)) {
    throw new ConfigError(`${call}.${option}`, 'no option inside a transaction', value)
  }
}
