import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { WIRE } from '../../src/core/wire.js'

/** Names that reach a prototype where code is careless. */
const name = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'length',
    'then',
    'toJSON',
    '0',
  ),
  fc.string({ maxLength: 8 }),
)

/** JSON text with such names, also twice in one object, and deeper than anybody means it. */
export const jsonText: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.letrec<{ text: string }>((tie) => ({
      text: fc.oneof(
        { maxDepth: 5, depthSize: 'small' },
        fc.oneof(
          fc.jsonValue({ maxDepth: 0 }).map((value) => JSON.stringify(value)),
          fc.constantFrom('1e999', '-0', '123456789012345678901234567890', '"\\ud800"', '{"__proto__":{"polluted":1}}'),
          fc.constantFrom(
            '"j"',
            '"x"',
            '"jd"',
            '["a"]',
            '["d",0]',
            '["b","AA=="]',
            '["n","1"]',
            '["v"]',
            '["o",{"__proto__":1}]',
          ),
        ),
        fc.array(tie('text'), { maxLength: 5 }).map((items) => `[${items.join(',')}]`),
        fc
          .array(fc.tuple(name, tie('text')), { maxLength: 4 })
          .map((entries) => `{${entries.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}`),
      ),
    })).text,
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('[', '{"a":', '[[')
      .chain((open) => fc.integer({ min: 1, max: 3_000 }).map((depth) => open.repeat(depth))),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 190, max: 3_000 })
      .map((depth) => `["x",${'["a",'.repeat(depth)}1${']'.repeat(depth)}]`),
  },
)

/** One way to damage bytes. */
export interface Damage {
  readonly how: 'flip' | 'cut' | 'insert' | 'set' | 'swap' | 'repeat' | 'digits'
  readonly at: number
  readonly to: number
  readonly byte: number
}

export const damage: fc.Arbitrary<Damage> = fc.record({
  how: fc.constantFrom('flip', 'cut', 'insert', 'set', 'swap', 'repeat', 'digits'),
  at: fc.nat(),
  to: fc.nat(),
  byte: fc.nat(255),
})

export function damaged(bytes: Buffer, { how, at, to, byte }: Damage): Buffer {
  if (bytes.length === 0) return Buffer.from([byte])
  const [here, there] = [at % bytes.length, to % bytes.length]
  const copy = Buffer.from(bytes)
  switch (how) {
    case 'flip':
      copy[here] = (copy[here] as number) ^ (1 << (byte % 8))
      return copy
    case 'cut':
      return copy.subarray(0, here)
    case 'insert':
      return Buffer.concat([copy.subarray(0, here), Buffer.from([byte]), copy.subarray(here)])
    case 'swap':
      copy[here] = bytes[there] as number
      copy[there] = bytes[here] as number
      return copy
    case 'repeat':
      return Buffer.concat([copy.subarray(0, Math.max(here, there)), copy.subarray(Math.min(here, there))])
    case 'digits':
      copy.fill('9', here, Math.min(bytes.length, here + 1 + (byte % 10)))
      return copy
    case 'set':
      copy[here] = byte
      return copy
  }
}

/** Makes the checksum of an entry right again, as an attacker would: only then is anything behind it looked at. */
export function resigned(bytes: Buffer): Buffer {
  if (bytes.length < WIRE.body) return bytes
  const copy = Buffer.from(bytes)
  copy.write(crc32(copy.subarray(WIRE.kind.at)).toString(16).padStart(8, '0'), WIRE.checksum.at, 'latin1')
  return copy
}
