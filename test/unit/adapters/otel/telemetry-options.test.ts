import { expect, it } from 'vitest'
import { resolveTelemetry } from '../../../../src/adapters/otel/telemetry-options.js'

it('is on by default, and off on request', () => {
  expect([undefined, true, {}].map(resolveTelemetry)).toEqual([{}, {}, {}])
  expect(resolveTelemetry(false)).toBeUndefined()
})

it.each([
  ['yes', 'option `telemetry`: expected true, false or an object of options, found "yes"'],
  [null, 'option `telemetry`: expected true, false or an object of options, found null'],
  [{ keys: 'plain' }, 'option `telemetry.keys`: expected `hashed`, found "plain"'],
  [{ tracerProvider: {} }, 'option `telemetry.tracerProvider`: expected an OpenTelemetry TracerProvider'],
  [{ meterProvider: 1 }, 'option `telemetry.meterProvider`: expected an OpenTelemetry MeterProvider, found number 1'],
  [{ meter: 1 }, 'option `telemetry.meter`: expected `tracerProvider`, `meterProvider` or `keys`'],
])('refuses %j', (given, message) => {
  expect(() => resolveTelemetry(given)).toThrow(message)
})
