import { Buffer } from 'node:buffer'
import type { NewEntry } from '../../../src/core/entry.js'
import type { Version } from '../../../src/core/version.js'

/** An entry of a row, as any will do. */
export function rowEntry(changes: Partial<NewEntry> = {}): NewEntry {
  return {
    kind: 'row',
    shape: '1f0c3a7e',
    version: '1795207238308940' as Version,
    snapshot: undefined,
    freshMs: 300_000,
    loadMs: 12,
    epoch: '00000000',
    payload: Buffer.from('["j",1]'),
    ...changes,
  }
}
