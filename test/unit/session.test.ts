import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCorralError } from '../../src/core/errors.js'
import type { CacheKey } from '../../src/core/key.js'
import type { Version } from '../../src/core/version.js'
import { MAX_SESSION_KEYS, SessionLog, sessionLog, TokenError } from '../../src/session.js'
import { ManualClock } from '../support/manual-clock.js'
import { seededChance } from '../support/seeded-chance.js'

const SECRET = 'a secret of the whole fleet'
const MAX_TOKEN = 1_396
const OVERFLOW_MS = 60_000
/** A second or two on an idle machine. */
const SLOW_MS = 30_000

const clock = new ManualClock()

function log(token?: string, secret?: string): SessionLog {
  return new SessionLog({ clock, secrets: secret === undefined ? [] : [secret], token })
}

function key(id: string | number): CacheKey {
  return `shop:{public.products/${id}}` as CacheKey
}

function stamp(version: bigint | number | string): Version {
  return String(version) as Version
}

function wrote(session: SessionLog, id: string | number, version: bigint | number | null, absent = false): void {
  session.wrote([{ key: key(id), version: version === null ? null : stamp(version), absent }])
}

describe.each([
  ['unsigned', undefined],
  ['signed', SECRET],
])('a session, %s', (_, secret) => {
  const again = (session: SessionLog) => log(session.token, secret)

  it('knows nothing at first, and its token says so', () => {
    const session = log(undefined, secret)
    expect(session.demandOf(key(1))).toBeUndefined()
    expect(again(session).demandOf(key(1))).toBeUndefined()
    expect(session.token.length).toBeLessThan(40)
  })

  it('carries what was written and seen to another process', () => {
    const session = log(undefined, secret)
    wrote(session, 1, 1_795_207_238_308_941n)
    wrote(session, 2, 9_223_372_036_854_775_807n, true)
    wrote(session, 3, null)
    session.saw(key(4), stamp(1))
    for (const one of [session, again(session), again(again(session))]) {
      expect(one.demandOf(key(1))).toEqual({ version: '1795207238308941', absent: false })
      expect(one.demandOf(key(2))).toEqual({ version: '9223372036854775807', absent: true })
      expect(one.demandOf(key(3)), 'nothing orders it').toBe('primary')
      expect(one.demandOf(key(4))).toEqual({ version: '1', absent: false })
      expect(one.demandOf(key(5))).toBeUndefined()
    }
    expect(again(session).token).toBe(session.token)
  })

  it('only ever asks for more', () => {
    const session = log(undefined, secret)
    wrote(session, 1, 7)
    session.saw(key(1), stamp(5))
    wrote(session, 1, 6, true)
    expect(session.demandOf(key(1))).toEqual({ version: '7', absent: false })
    wrote(session, 1, 8, true)
    expect(session.demandOf(key(1))).toEqual({ version: '8', absent: true })
    wrote(session, 1, 8)
    expect(again(session).demandOf(key(1)), 'made anew with the least stamp it may have').toEqual({
      version: '8',
      absent: false,
    })
    wrote(session, 1, null)
    session.saw(key(1), stamp(9))
    expect(session.demandOf(key(1)), 'what is unknown once is unknown for good').toBe('primary')
  })

  it.each([
    ['saw', (session: SessionLog) => session.saw(key(1), stamp(5))],
    ['wrote', (session: SessionLog) => wrote(session, 1, 5)],
    ['deleted', (session: SessionLog) => wrote(session, 1, 5, true)],
  ])('remembers that a row it %s was gone: others may have come and gone since', (_, knew) => {
    const session = log(undefined, secret)
    knew(session)
    session.sawAbsence(key(1))
    for (const one of [session, again(session), again(again(session))]) {
      expect(one.demandOf(key(1))).toMatchObject({ absent: true, isUnordered: true })
      one.sawAbsence(key(1))
      expect(one.demandOf(key(1))).toMatchObject({ absent: true, isUnordered: true })
      one.wasShown(key(1), { version: stamp(9) }, one.moment)
      expect(again(one).demandOf(key(1))).toEqual({ version: '9', absent: false })
    }
  })

  it('gives up a write that it saw to be gone as late as any other', () => {
    let session = log(undefined, secret)
    wrote(session, 'mine', 5)
    session.sawAbsence(key('mine'))
    session = again(session)
    for (let id = 1; id < MAX_SESSION_KEYS; id++) wrote(session, id, 1)
    session.saw(key('another'), stamp(1))
    expect(session.demandOf(key('another')), 'a sight goes first').toBeUndefined()
    expect(session.demandOf(key('mine'))).toMatchObject({ isUnordered: true })
    session.wasShown(key('mine'), { version: stamp(9) }, session.moment)
    session.saw(key('another'), stamp(1))
    expect(again(session).demandOf(key('mine')), 'the row it was shown stands for its write').toBeDefined()
  })

  it('remembers an absence of which it knows no more, until the database has shown it a row', () => {
    const session = log(undefined, secret)
    session.sawAbsence(key(1))
    for (const one of [session, again(session), again(again(session))]) {
      expect(one.demandOf(key(1))).toMatchObject({ absent: true, isUnordered: true })
      one.wasShown(key(1), { version: stamp(5) }, one.moment)
      expect(again(one).demandOf(key(1))).toEqual({ version: '5', absent: false })
    }
    session.sawAbsence(key(2))
    wrote(session, 2, 7)
    expect(session.demandOf(key(2)), 'its own write came after').toEqual({ version: '7', absent: false })
  })

  it('asks the database from then on when it cannot tell whether an absence or a row came first', () => {
    const session = log(undefined, secret)
    const before = session.moment
    session.sawAbsence(key(1))
    session.wasShown(key(1), { version: stamp(5) }, before)
    expect(again(session).demandOf(key(1)), 'a read that began before the absence was seen').toBe('primary')

    session.sawAbsence(key(2))
    const between = session.moment
    session.sawAbsence(key(2))
    session.wasShown(key(2), { version: stamp(5) }, between)
    expect(again(session).demandOf(key(2)), 'seen to be gone once more meanwhile').toBe('primary')
  })

  it('asks the database from then on when an absence is shown by a read that began before its own write', () => {
    const session = log(undefined, secret)
    const begun = session.moment
    wrote(session, 1, 5)
    session.wasShown(key(1), undefined, begun)
    expect(session.demandOf(key(1)), 'nobody knows which came first').toBe('primary')
    expect(again(session).demandOf(key(1))).toBe('primary')

    wrote(session, 2, 5)
    session.saw(key(2), stamp(6))
    session.wasShown(key(2), undefined, begun)
    expect(session.demandOf(key(2)), 'seen since, but not by that read').toBe('primary')

    wrote(session, 3, 5)
    session.wasShown(key(3), undefined, session.moment)
    expect(session.demandOf(key(3)), 'such a read came after it').toMatchObject({ absent: true, isUnordered: true })
  })

  it('forgets an absence when the database has shown a row that has no version', () => {
    const session = log(undefined, secret)
    session.sawAbsence(key(1))
    session.wasShown(key(1), { version: undefined }, session.moment)
    expect(session.demandOf(key(1))).toBeUndefined()
  })

  it('has a bounded token, whatever it carries', () => {
    const session = log(undefined, secret)
    for (let id = 0; id < 1_000; id++) wrote(session, id, 9_223_372_036_854_775_807n, true)
    const { token } = session
    expect(token.length).toBeLessThanOrEqual(MAX_TOKEN)
    if (secret !== undefined) expect(token.length).toBe(MAX_TOKEN)
    expect(token).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(log(token, secret).token).toBe(token)
  })

  it('gives up sights first, the oldest of them, also after a journey', () => {
    let session = log(undefined, secret)
    for (let id = 0; id < MAX_SESSION_KEYS / 2; id++) wrote(session, `w${id}`, 1)
    for (let id = 0; id < MAX_SESSION_KEYS / 2; id++) session.saw(key(`s${id}`), stamp(1))
    session = again(session)
    session.saw(key('new'), stamp(1))
    wrote(session, 'written', 1)
    expect(session.demandOf(key('s0'))).toBeUndefined()
    expect(session.demandOf(key('s1'))).toBeUndefined()
    for (const id of ['s2', 'new', 'written', 'w0']) expect(session.demandOf(key(id)), id).toBeDefined()
  })

  it('reads everything else from the database for a while when it has written more than it can carry', async () => {
    const session = log(undefined, secret)
    for (let id = 0; id <= MAX_SESSION_KEYS; id++) wrote(session, id, 1)
    for (const one of [session, again(session)]) {
      expect(one.demandOf(key(0)), 'forgotten').toBe('primary')
      expect(one.demandOf(key('never met'))).toBe('primary')
      expect(one.demandOf(key(1))).toEqual({ version: '1', absent: false })
    }
    await clock.advance(OVERFLOW_MS + 1_000)
    for (const one of [session, again(session)]) expect(one.demandOf(key(0))).toBeUndefined()
  })
})

describe('a session whose token is none of ours', () => {
  const writer = log(undefined, SECRET)
  wrote(writer, 1, 5)
  const plainWriter = log()
  wrote(plainWriter, 1, 5)

  it.each<[string, string, string | undefined]>([
    ['empty', '', undefined],
    ['a word', 'hello', undefined],
    ['a word', 'hello', SECRET],
    ['not base64url', `${plainWriter.token}=`, undefined],
    ['not base64url', 'ä'.repeat(20), undefined],
    ['cut', plainWriter.token.slice(0, -2), undefined],
    ['longer than it says', `${plainWriter.token}AAAA`, undefined],
    ['of another format', Buffer.from([9, 0, 0, 0, 0, 0, 0]).toString('base64url'), undefined],
    ['of more keys than fit', Buffer.from([1, 65, 0, 0, 0, 0, 0]).toString('base64url'), undefined],
    ['of more writes than keys', Buffer.from([1, 0, 1, 0, 0, 0, 0]).toString('base64url'), undefined],
    ['oversized', 'A'.repeat(MAX_TOKEN + 1), undefined],
    ['enormous', 'A'.repeat(5_000_000), undefined],
    ['unsigned where signatures are asked for', plainWriter.token, SECRET],
    ['signed where none are known', writer.token, undefined],
    ['signed with another secret', writer.token, 'the secret of another fleet'],
    ['no text', 42 as unknown as string, undefined],
    ['null', null as unknown as string, undefined],
    ['an object', {} as unknown as string, SECRET],
    ...Array.from(
      { length: 40 },
      (_, bytes) =>
        [`${bytes} bytes`, Buffer.alloc(bytes, 1).toString('base64url'), SECRET] satisfies [string, string, string],
    ),
  ])('%s: is refused with TOKEN_INVALID', (_, token, secret) => {
    expect(() => log(token, secret)).toThrow(TokenError)
    try {
      log(token, secret)
    } catch (error) {
      expect(isCorralError(error, 'TOKEN_INVALID')).toBe(true)
      expect((error as Error).message.length, 'and never repeats the token').toBeLessThan(120)
    }
  })

  it('the first of several secrets signs, and each of them is accepted', () => {
    const secrets = ['the secret that comes after it', SECRET]
    const continued = new SessionLog({ clock, secrets, token: writer.token })
    expect(continued.token).not.toBe(writer.token)
    expect(log(continued.token, secrets[0]).token).toBe(continued.token)
    expect(() => log(continued.token, SECRET)).toThrow(TokenError)
  })

  it('any change of a signed token is noticed', () => {
    const bytes = Buffer.from(writer.token, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(() => log(changed.toString('base64url'), SECRET)).toThrow(TokenError)
    }
  })

  it.each([
    ['unsigned', undefined, plainWriter],
    ['signed', SECRET, writer],
  ])(
    '100 000 random and mutated texts, %s: a session or a TokenError, and nothing else',
    { timeout: SLOW_MS },
    (_, secret, origin) => {
      const chance = seededChance(7)
      const original = Buffer.from(origin.token, 'base64url')
      let accepted = 0
      let longest = 0
      // Nobody looks at these stacks, and making them would take most of the time.
      const { stackTraceLimit } = Error
      Error.stackTraceLimit = 0
      for (let at = 0; at < 100_000; at++) {
        const token = at % 3 === 0 ? randomText(chance) : changedBytes(original, chance).toString('base64url')
        try {
          const session = log(token, secret)
          session.demandOf(key(1))
          accepted++
          longest = Math.max(longest, session.token.length)
        } catch (error) {
          if (!(error instanceof TokenError)) throw error
        }
      }
      Error.stackTraceLimit = stackTraceLimit
      expect(longest).toBeLessThanOrEqual(MAX_TOKEN)
      expect(accepted > 0).toBe(true)
    },
  )

  it('a forged time of overflow does not make it read the database for ever', async () => {
    const forged = Buffer.from([1, 0, 0, 255, 255, 255, 255]).toString('base64url')
    const session = log(forged)
    expect(session.demandOf(key(1))).toBe('primary')
    await clock.advance(OVERFLOW_MS)
    expect(session.demandOf(key(1))).toBeUndefined()
  })

  it('any stamp and any key survive the journey', { timeout: SLOW_MS }, () => {
    const item = fc.record({
      id: fc.string({ unit: 'binary' }),
      version: fc.option(fc.bigInt({ min: 1n, max: 2n ** 63n - 1n })),
      absent: fc.boolean(),
      isSight: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(item, { maxLength: 80 }), (items) => {
        const session = log(undefined, SECRET)
        for (const { id, version, absent, isSight } of items) {
          if (isSight && version !== null) session.saw(key(id), stamp(version))
          else wrote(session, id, version, absent)
        }
        const continued = log(session.token, SECRET)
        for (const { id } of items) expect(continued.demandOf(key(id))).toEqual(session.demandOf(key(id)))
      }),
      { numRuns: 200 },
    )
  })
})

describe('sessionLog', () => {
  it('takes sessions of ours, and nothing', () => {
    const session = log()
    expect(sessionLog(session)).toBe(session)
    expect(sessionLog(undefined)).toBeUndefined()
  })

  it.each([[null], ['token'], [{ token: 'x' }]])('refuses %o', (other) => {
    expect(() => sessionLog(other as never)).toThrow(/option `session`/)
  })
})

type Chance = ReturnType<typeof seededChance>

function randomText(chance: Chance): string {
  const length = Math.floor(chance.number() * 60)
  return Array.from({ length }, () => String.fromCharCode(32 + Math.floor(chance.number() * 96))).join('')
}

/** The same bytes with some changed, cut off or added; now and then with none. */
function changedBytes(original: Buffer, chance: Chance): Buffer {
  const changed = Buffer.from(original)
  const times = Math.floor(chance.number() * 3)
  for (let time = 0; time < times; time++)
    changed[Math.floor(chance.number() * changed.length)] = Math.floor(chance.number() * 256)
  const length = Math.floor(chance.number() * 3) === 0 ? Math.floor(chance.number() * 60) : changed.length
  return Buffer.concat([changed, Buffer.alloc(40)]).subarray(0, length)
}

it('neither what is no session nor what is no token is repeated: it may be one after all', () => {
  const token = new SessionLog({ clock: new ManualClock(), secrets: [] }).token
  expect(() => sessionLog(token as never)).toThrow(/corral\.session\(\), found a string of \d+$/)
  expect(() => new SessionLog({ clock: new ManualClock(), secrets: [], token: {} as never })).toThrow(
    'found an object (Object)',
  )
})
