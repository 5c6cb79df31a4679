import { describe, expect, it } from 'vitest'
import { cacheKey, keyPrefix } from '../../../src/core/key.js'
import type { Version } from '../../../src/core/version.js'
import { Acceptance } from '../../../src/engine/acceptance.js'
import { Floors } from '../../../src/engine/floors.js'
import { inRecovery } from '../../../src/engine/load-failure.js'
import type { LoadedValue } from '../../../src/engine/read-source.js'

const KEY = cacheKey(keyPrefix('shop', 'row', 'public.products'), ['1'])

function loaded(version: string, loadedFrom: LoadedValue<string>['loadedFrom'] = 'primary'): LoadedValue<string> {
  return { value: `row ${version}`, version: version as Version, snapshot: '1:1:', loadedFrom }
}

/** A reader whose first load was overtaken by version 7; what is loaded after that `again` says. */
function overtaken(again: (fromPrimary: boolean) => LoadedValue<string>) {
  const floors = new Floors(10)
  const acceptance = new Acceptance<string, string>({
    parts: { floors, emit: () => {} },
    source: { entity: 'public.products', kind: 'row' },
    load: async (_, fromPrimary) => again(fromPrimary),
  })
  const before = floors.get(KEY)
  floors.hear(KEY, '7' as Version, false)
  return (fromPrimary: boolean) => acceptance.accept({ key: KEY, id: '1', fromPrimary }, loaded('6'), before)
}

/** As a filler loads: whoever is in recovery will do where it need not be the primary. */
function demoted(fromPrimary: boolean): LoadedValue<string> {
  if (fromPrimary) throw inRecovery('public.products')
  return loaded('7', 'standby')
}

describe('a load that was overtaken is made again', () => {
  it('and what it sees then is shown', async () => {
    expect(await overtaken(() => loaded('7'))(false)).toBe('row 7')
  })

  it('from the primary only, where nobody else will do', async () => {
    expect(await overtaken(demoted)(false)).toBe('row 7')
    await expect(overtaken(demoted)(true)).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })
})
