import { describe, expect, it } from 'vitest'
import { noCounts } from '../../../bench/soak/faults/counts.js'
import { Ledger } from '../../../bench/soak/faults/ledger.js'
import { judge } from '../../../bench/soak/faults/verdict.js'

const KEY = 'products/1'

/** Version 2 was acknowledged at 100, and a read that began at `readMs` shows version 1. */
function staleRead(readMs: number): Ledger {
  const ledger = new Ledger()
  const write = (version: string, endedMs: number) =>
    ledger.rows.write({ process: 'w', key: KEY, startedMs: endedMs - 1, endedMs, version, outcome: 'fenced' })
  write('1', 50)
  write('2', 100)
  ledger.rows.read({ process: 'r', key: KEY, startedMs: readMs, endedMs: readMs + 1, version: '1' })
  return ledger
}

function missed(...given: Parameters<typeof judge>): string[] {
  return judge(...given).targets.flatMap(({ what, met }) => (met ? [] : [what]))
}

describe('the verdict on a fault run', () => {
  const window = { what: 'promotion', startedMs: 150, healedMs: 400 }

  it('forgives what was older than acknowledged within a failover, and says how long after its end that was', () => {
    expect(missed(staleRead(200), [], [])).toEqual(['C2 older than acknowledged, outside failovers'])
    expect(missed(staleRead(200), [window], [])).toEqual([])
    expect(judge(staleRead(900), [window], []).windows).toMatchObject([{ reads: 1, lagMs: 500 }])
  })

  it('does not forgive what came before it, or too long after it', () => {
    expect(missed(staleRead(120), [window], [])).toEqual(['C2 older than acknowledged, outside failovers'])
    expect(missed(staleRead(5_401), [window], [])).toEqual(['C2 older than acknowledged, outside failovers'])
  })

  it('counts a row that was looked up once, though it is noted as that row and as what its value led to', () => {
    const ledger = staleRead(200)
    for (const write of ledger.rows.writes) ledger.lookups.write(write)
    for (const read of ledger.rows.reads) ledger.lookups.read(read)
    expect(judge(ledger, [], []).counts['C2 older than acknowledged, outside failovers']).toBe(1)
  })

  it('counts a lookup that goes back to an absence', () => {
    const ledger = new Ledger()
    const at = (startedMs: number) => ({ process: 'r', key: KEY, startedMs, endedMs: startedMs + 1 })
    ledger.lookups.write({ ...at(50), version: '1', outcome: 'unknown' })
    ledger.lookups.read({ ...at(100), version: '1' })
    ledger.lookups.read({ ...at(200), version: null })
    expect(missed(ledger, [], [])).toEqual(['C3 back in time, one process'])
  })

  it('counts reads that failed unless the database suffered or the queue refused them', () => {
    const ledger = new Ledger()
    const counts = { ...noCounts(), failedReads: { FILL_TIMEOUT: 2, OVERLOADED: 5 } }
    const nothing = { reads: [], writes: [], loads: [], atRest: [] }
    ledger.hear({ records: nothing, queries: nothing, lookups: nothing, counts }, 'web-1')
    const at = ledger.startedMs
    const strike = (harmsDatabase: boolean) => ({
      nemesis: { name: 'x', does: '', lane: 'servers', harmsDatabase, strike: async () => {} } as const,
      startedMs: at,
      endedMs: at + 100,
    })
    expect(missed(ledger, [], [strike(false)])).toEqual(['reads that failed while the database was well'])
    expect(missed(ledger, [], [strike(true)])).toEqual([])
  })
})
