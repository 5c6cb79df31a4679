import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeInterval, row } from './row-arbitrary.js'
import { codecOf, encoded } from './row-codec-lab.js'

describe('decode takes nothing that encode does not write', () => {
  const codec = codecOf(['value'])
  codec.encode({ value: makeInterval('1 day') })
  const decode = (payload: string) => codec.decode(Buffer.from(payload))

  it.each([
    ['no JSON', 'jj'],
    ['nothing', ''],
    ['an object', '{"0":"j","1":1,"length":2}'],
    ['null', 'null'],
    ['an empty array', '[]'],
    ['no value', '["j"]'],
    ['a value too many', '["j",1,2]'],
    ['a short signature', '["",1]'],
    ['a long signature', '["jj",1]'],
    ['a signature that is no text', '[["j"],1]'],
    ['an unknown mark', '["z",1]'],
    ['a number beyond all numbers', '["j",1e400]'],
    ['such a number inside', '["j",{"a":[1e400]}]'],
    ['such a number, tagged', '["x",["a",-1e400]]'],
    ['a date that is text', '["d","2020-01-01"]'],
    ['a date with a fraction', '["d",1.5]'],
    ['a date out of range', '["d",8640000000000001]'],
    ['a bigint that is a number', '["n",5]'],
    ['a bigint with leading zeros', '["n","05"]'],
    ['a bigint -0', '["n","-0"]'],
    ['a bigint in hex', '["n","0x10"]'],
    ['no digits', '["n",""]'],
    ['a bigint of a million digits', `["n","${'9'.repeat(1_000_000)}"]`],
    ['bytes that are no base64', '["b","!!!!"]'],
    ['bytes of odd length', '["b","aGk"]'],
    ['bytes that are a list', '["b",[1,2]]'],
    ['an array without tag', '["x",[]]'],
    ['an unknown tag', '["x",["z",1]]'],
    ['a tag without content', '["x",["d"]]'],
    ['a tag with too much content', '["x",["d",1,2]]'],
    ['undefined with content', '["x",["v",1]]'],
    ['an unknown number', '["x",["f","one"]]'],
    ['the name of a Map method as a number', '["x",["f","constructor"]]'],
    ['an interval that is a list', '["x",["i",[]]]'],
    ['an interval with other fields', '["x",["i",{"toPostgres":1}]]'],
    ['an interval with an own __proto__', '["x",["i",{"__proto__":{"x":1}}]]'],
    ['an interval with text', '["x",["i",{"days":"1"}]]'],
    ['an object without prototype that is a list', '["x",["o",[1]]]'],
    ['plain nesting of 201', `["j",${'['.repeat(201)}${']'.repeat(201)}]`],
    ['tagged nesting of 201', `["x",${'["a",'.repeat(200)}["a"]${']'.repeat(200)}]`],
    ['tagged objects of 201', `["x",${'{"a":'.repeat(200)}{}${'}'.repeat(200)}]`],
    ['objects without prototype of 201', `["x",${'["o",{"a":'.repeat(200)}["o",{}]${'}]'.repeat(200)}]`],
    ['nesting of 100,000', `["j",${'['.repeat(100_000)}${']'.repeat(100_000)}]`],
    ['tagged nesting of 100,000', `["x",${'["a",'.repeat(100_000)}0${']'.repeat(100_000)}]`],
  ])('%s', (_name, payload) => {
    expect(decode(payload)).toBeUndefined()
  })

  it('and a row of another number of columns', () => {
    expect(codecOf(['a', 'b']).decode(encoded(codec, { value: 1 }))).toBeUndefined()
  })

  it('and never changes a prototype', () => {
    for (const payload of [
      '["j",{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}]',
      '["x",{"__proto__":{"polluted":1},"a":["d",1]}]',
      '["x",["o",{"__proto__":{"polluted":1}}]]',
    ]) {
      const { value } = decode(payload) as { value: Record<string, unknown> }
      expect(value.polluted).toBeUndefined()
      expect(Object.hasOwn(value, '__proto__')).toBe(true)
      expect([Object.prototype, null]).toContain(Object.getPrototypeOf(value))
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it('and throws for none of 10,000 payloads that were tampered with', () => {
    const tampered = fc.tuple(row, fc.nat(), fc.nat({ max: 3 }), fc.uint8Array({ maxLength: 4 }))
    fc.assert(
      fc.property(tampered, ([value, where, removed, inserted]) => {
        const own = codecOf(Object.keys(value))
        const payload = Buffer.from(encoded(own, value))
        const at = where % (payload.length + 1)
        own.decode(Buffer.concat([payload.subarray(0, at), inserted, payload.subarray(at + removed)]))
      }),
      { numRuns: 10_000 },
    )
  }, 60_000)

  it('and throws for none of 20,000 arbitrary JSON texts', () => {
    const marks = fc.string({ unit: fc.constantFrom('j', 'd', 'n', 'b', 'x'), minLength: 1, maxLength: 1 })
    const content = fc.oneof(
      fc.jsonValue(),
      fc.tuple(fc.constantFrom('a', 'b', 'd', 'f', 'i', 'n', 'o', 'u', 'v'), fc.jsonValue()),
    )
    fc.assert(
      fc.property(marks, content, (mark, held) => {
        decode(JSON.stringify([mark, held]))
      }),
      { numRuns: 20_000 },
    )
  }, 60_000)
})
