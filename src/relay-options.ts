import { checkNumber, type RelayTimes } from './config.js'
import { ConfigError } from './core/errors.js'
import { refuseUnknown } from './core/known-options.js'

/** A relay, and where it learns what has changed. */
export interface RelayOptions extends RelayTimes {
  /**
   * `outbox`: what triggers have written (`outboxTable`). `slot`: what a logical-replication slot tells (`slotTable`); needs `slot`, and the package
   * `pg-logical-replication`. The same for all relays of a namespace. See docs/guides/change-sources.md. Default `outbox`.
   */
  readonly source?: 'outbox' | 'slot'
  /** Where the slot is, with `source: 'slot'`. */
  readonly slot?: SlotOptions
}

/** A logical-replication slot. The relay that leads makes it, and reads it over a connection of its own. */
export interface SlotOptions {
  /** What `new Client()` of `pg` takes: a direct connection to the server and database of `db`, as a role with REPLICATION. */
  readonly connection: Readonly<Record<string, unknown>>
  /** 1 to 63 of `a-z 0-9 _`. Default: made of the namespace and the database's name. */
  readonly name?: string
  /** Of a transaction that changes more rows, one event is made that raises the epoch. Default 5 000. */
  readonly maxRows?: number
  /** Changes held in memory: those that wait for the cache, and those of the replay window. More that wait raise the epoch. At least `maxRows`. Default 100 000. */
  readonly maxChanges?: number
}

export type ResolvedSlot = Required<Omit<SlotOptions, 'name'>> & Pick<SlotOptions, 'name'>

const NAMES = ['source', 'slot', 'pollMs', 'electionMs', 'keepMs', 'replayMs']
const SLOT_NAMES = ['connection', 'name', 'maxRows', 'maxChanges']
const SLOT_NAME = /^[a-z0-9_]{1,63}$/

/** @throws ConfigError naming the option, what was expected and what was found. */
export function resolveRelay(relay: boolean | RelayOptions | undefined): {
  readonly runs: boolean
  readonly times: RelayTimes
  /** Undefined: it reads the outbox. */
  readonly slot: ResolvedSlot | undefined
} {
  if (relay === undefined || typeof relay === 'boolean') return { runs: relay === true, times: {}, slot: undefined }
  if (typeof relay !== 'object' || relay === null) {
    throw new ConfigError('relay', 'true, false or an object of options', relay)
  }
  refuseUnknown('relay', relay, NAMES)
  const { source = 'outbox', slot, ...times } = relay
  if (source !== 'outbox' && source !== 'slot') throw new ConfigError('relay.source', '`outbox` or `slot`', source)
  if (source === 'outbox') {
    if (slot !== undefined) throw new ConfigError('relay.source', '`slot` where `relay.slot` is given', source)
    return { runs: true, times, slot: undefined }
  }
  return { runs: true, times, slot: resolveSlot(slot) }
}

function resolveSlot(slot: SlotOptions | undefined): ResolvedSlot {
  if (typeof slot !== 'object' || slot === null) {
    throw new ConfigError('relay.slot', 'an object with `connection`', slot)
  }
  refuseUnknown('relay.slot', slot, SLOT_NAMES)
  const { connection, name, maxRows = 5_000, maxChanges = 100_000 } = slot
  if (typeof connection !== 'object' || connection === null) {
    // Its value may hold a password.
    throw new ConfigError('relay.slot.connection', 'an object of options for `new Client()` of pg', typeof connection)
  }
  if (name !== undefined && !(typeof name === 'string' && SLOT_NAME.test(name))) {
    throw new ConfigError('relay.slot.name', '1 to 63 of `a-z`, `0-9` and `_`', name)
  }
  checkNumber('relay.slot.maxRows', maxRows)
  checkNumber('relay.slot.maxChanges', maxChanges)
  // A transaction is held whole.
  if (maxChanges < maxRows) {
    throw new ConfigError('relay.slot.maxChanges', `at least relay.slot.maxRows (${maxRows})`, maxChanges)
  }
  return { connection, ...(name === undefined ? {} : { name }), maxRows, maxChanges }
}
