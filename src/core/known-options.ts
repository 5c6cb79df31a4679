import { ConfigError, inWords } from './errors.js'

/** @throws ConfigError for the first key that is not one of `known`. */
export function refuseUnknown(prefix: string, given: object, known: readonly string[]): void {
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue
    const path = prefix === '' ? key : `${prefix}.${key}`
    throw new ConfigError(
      path,
      `one of ${known.map((name) => `\`${name}\``).join(', ')}`,
      inWords(`unknown option ${key}`),
    )
  }
}

/** @throws ConfigError for what is no object, as of a call from JavaScript; for the first key that is not one of `known`. */
export function checkOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ConfigError(`${call} options`, 'an object of options', options)
  }
  refuseUnknown('', options, known)
}
