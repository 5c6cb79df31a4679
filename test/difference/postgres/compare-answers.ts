import { isDeepStrictEqual } from 'node:util'
import type { Counterparts } from './counterparts.js'
import type { Row } from './kysely-on.js'
import { FOLLOWED } from './shop.js'

/** What both sides know of the statement that was answered. */
export interface Asked {
  readonly parameters: readonly unknown[]
  /** The asker's transaction as the real server calls it; undefined: it has none that is known. */
  readonly xid: string | undefined
}

/** Asked of the cluster and not of what it holds: the model stands for another one. */
const OF_THE_CLUSTER = /pg_walfile_name|pg_control_system/

const FOLLOWED_VERSION = `corralcolumn${FOLLOWED.indexOf('corral_version')}`

/** Where two answers to one statement differ; undefined: nowhere. */
export function compareAnswers(
  sql: string,
  asked: Asked,
  real: readonly Row[],
  model: readonly Row[],
  counterparts: Counterparts,
): string | undefined {
  if (real.length !== model.length) return `${real.length} rows of the real one, ${model.length} of the model`
  if (OF_THE_CLUSTER.test(sql)) return undefined
  const comparison = new Comparison(asked, counterparts)
  // Rows come in no order that the statement asks for.
  const [theirs, ours] = [inOrder(real), inOrder(model)]
  for (const [at, row] of theirs.entries()) {
    const difference = comparison.row(opened(row), opened(ours[at] as Row))
    if (difference !== undefined) return difference
  }
  return undefined
}

class Comparison {
  readonly #asked: Asked
  readonly #counterparts: Counterparts

  constructor(asked: Asked, counterparts: Counterparts) {
    this.#asked = asked
    this.#counterparts = counterparts
  }

  row(real: Row, model: Row): string | undefined {
    const keys = Object.keys(real).sort()
    if (!isDeepStrictEqual(keys, Object.keys(model).sort())) {
      return `columns ${keys.join(', ')} of the real one, ${Object.keys(model).sort().join(', ')} of the model`
    }
    const id = String(real.id ?? (real.key as string[] | null)?.[0] ?? this.#asked.parameters[0])
    for (const key of keys) {
      const difference = this.#value(key, real[key], model[key], id)
      if (difference !== undefined) return difference
    }
    return undefined
  }

  #value(key: string, real: unknown, model: unknown, id: string): string | undefined {
    if (real === null || model === null || key === 'rows') return this.#plain(key, real, model)
    const [theirs, ours] = [String(real), String(model)]
    switch (key) {
      case 'corral_version':
      case 'corralversion':
      case 'version':
      case FOLLOWED_VERSION:
        return this.#counterparts.pair('version', theirs, ours, id)
      case 'says':
        return this.#says(theirs.split(' '), ours.split(' '), id)
      case 'corralwaited':
        // A matter of time, of which the two have different ones.
        return undefined
      case 'corralxid':
      case 'xid':
        return this.#counterparts.pair('xid', theirs, ours)
      case 'outboxId':
        return this.#counterparts.pair('outbox id', theirs, ours)
      case 'corralsnapshot':
      case 'snapshot':
      case 'upto':
      case 'position':
        return this.#counterparts.pairSnapshots(theirs, ours, this.#asked.xid)
      case 'ageMs':
        return this.#plain('whether it has an age', Number(real) !== 0, Number(model) !== 0)
      case 'session':
        // A process of each server.
        return undefined
      default:
        return this.#plain(key, real, model)
    }
  }

  #says([key, version]: string[], [otherKey, otherVersion]: string[], id: string): string | undefined {
    if (key !== otherKey) return this.#plain('says', key, otherKey)
    return this.#counterparts.pair('version', version as string, otherVersion as string, id)
  }

  #plain(key: string, real: unknown, model: unknown): string | undefined {
    if (key === 'rows') return this.#rows((real ?? []) as Row[], (model ?? []) as Row[])
    if (isDeepStrictEqual(real, model)) return undefined
    return `${key} is ${JSON.stringify(real)} for the real one, ${JSON.stringify(model)} for the model`
  }

  #rows(real: readonly Row[], model: readonly Row[]): string | undefined {
    if (real.length !== model.length) return `${real.length} changes of the real one, ${model.length} of the model`
    for (const [at, row] of real.entries()) {
      const difference = this.row(outboxRow(row), outboxRow(model[at] as Row))
      if (difference !== undefined) return `change ${at}: ${difference}`
    }
    return undefined
  }
}

/** A page of the outbox is one JSON text. */
function opened(row: Row): Row {
  return typeof row.answer === 'string' && row.answer.startsWith('{') ? JSON.parse(row.answer) : row
}

function outboxRow({ id, ...rest }: Row): Row {
  return { ...rest, outboxId: id }
}

function inOrder(rows: readonly Row[]): readonly Row[] {
  const idOf = ({ id, corralkey }: Row) => String(id ?? corralkey ?? '')
  return [...rows].sort((a, b) => (idOf(a) < idOf(b) ? -1 : idOf(a) > idOf(b) ? 1 : 0))
}
