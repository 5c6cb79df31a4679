import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import { ConfigError, inWords } from '../../core/errors.js'

/** OpenTelemetry. Without an SDK in the process nothing is recorded, and nothing is lost but what it costs to find that out. */
export interface TelemetryOptions {
  /** Default: the one that is registered with `@opentelemetry/api`, also if that happens later. */
  readonly tracerProvider?: TracerProvider
  /** Default: the one that is registered with `@opentelemetry/api` by the time of `createCorral`. */
  readonly meterProvider?: MeterProvider
  /**
   * `hashed` gives spans of fills and loads a keyed hash of their key: enough to see that two are of the same. Whoever knows the ids and
   * the namespace can find out which, unless there is a `secret`. Keys never appear as they are, and never in metrics. Default: no keys.
   */
  readonly keys?: 'hashed'
}

/** @throws ConfigError for anything but `true`, `false`, undefined or an object of these options. */
export function resolveTelemetry(given: unknown): TelemetryOptions | undefined {
  if (given === false) return undefined
  if (given === undefined || given === true) return {}
  if (typeof given !== 'object' || given === null) {
    throw new ConfigError('telemetry', 'true, false or an object of options', given)
  }
  const { tracerProvider, meterProvider, keys, ...unknown } = given as Record<string, unknown>
  for (const name of Object.keys(unknown)) {
    throw new ConfigError(
      `telemetry.${name}`,
      '`tracerProvider`, `meterProvider` or `keys`',
      inWords(`unknown option ${name}`),
    )
  }
  if (tracerProvider !== undefined && !hasMethod(tracerProvider, 'getTracer')) {
    throw new ConfigError('telemetry.tracerProvider', 'an OpenTelemetry TracerProvider', tracerProvider)
  }
  if (meterProvider !== undefined && !hasMethod(meterProvider, 'getMeter')) {
    throw new ConfigError('telemetry.meterProvider', 'an OpenTelemetry MeterProvider', meterProvider)
  }
  if (keys !== undefined && keys !== 'hashed') throw new ConfigError('telemetry.keys', '`hashed`', keys)
  return given as TelemetryOptions
}

function hasMethod(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[name] === 'function'
}
