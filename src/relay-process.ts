import { type CorralOptions, createCorral } from './client.js'
import { ConfigError } from './core/errors.js'
import { checkOptions } from './core/known-options.js'
import type { RelayOptions } from './relay-options.js'

/** A relay and nothing else. The same as `createCorral` with `relay`, for a process that reads and writes nothing itself. */
export interface RelayProcessOptions<DB>
  extends Pick<
    CorralOptions<DB>,
    'db' | 'namespace' | 'secret' | 'onEvent' | 'telemetry' | 'cache' | 'bus' | 'replica'
  > {
  /** The cache that the namespace's processes share. */
  readonly redis: NonNullable<CorralOptions<DB>['redis']>
  /** What it reads, and how often. Default: the outbox. */
  readonly relay?: RelayOptions
}

export interface RelayProcess {
  /** `leader`: it relays. `standby`: another one does, and it takes over when that is gone. */
  readonly role: 'leader' | 'standby'
  /** Ends after the page under way, hands the lead over, and closes what it opened. */
  close(): Promise<void>
}

const OPTION_NAMES = ['db', 'redis', 'namespace', 'secret', 'onEvent', 'telemetry', 'cache', 'bus', 'replica', 'relay']

/**
 * Starts a relay in a process of its own. It needs no repositories: what it has to know is in the outbox. Run at least two, or others
 * embedded by the option `relay`; one of them works at a time. See docs/guides/outbox.md.
 *
 * @throws ConfigError naming the option, what was expected and what was found.
 */
export function startRelay<DB>(options: RelayProcessOptions<DB>): RelayProcess {
  checkOptions('startRelay', options, OPTION_NAMES)
  if (options.redis === undefined) throw new ConfigError('redis', 'the cache that this relay is to tell', options.redis)
  const { relay = {}, ...rest } = options
  const corral = createCorral({ ...rest, relay })
  return {
    get role() {
      return corral.stats().relay === 'leader' ? 'leader' : 'standby'
    },
    close: () => corral.close(),
  }
}
