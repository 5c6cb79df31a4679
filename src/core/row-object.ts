type Row = Record<string, unknown>
type RowConstructor = new () => Row

/** By number of properties. */
const constructors: RowConstructor[] = []

/**
 * An empty object, in everything that JavaScript shows of it like `{}`, to which so many properties are about to be added.
 *
 * V8 gives `{}` room for four properties, keeps others in a second object, and makes a hash table of what has had many more added by name: a row of
 * 11 columns takes 144 bytes, one of 20 takes 928, one of 60 3,200 (Node 20). What a constructor makes has room for what its first seven objects
 * have used: 112, 184 and 504 bytes, and each value is found in one step. A copy of a blank row will not do: when it is frozen, each one
 * gets a hidden class of its own, which costs 670 ns, 360 bytes and the time of whoever reads it.
 */
export function rowObject(properties: number): Row {
  constructors[properties] ??= rowConstructor(properties)
  return new (constructors[properties] as RowConstructor)()
}

/**
 * A copy of a plain row that has these of its properties. Copied and not deleted from: what has lost properties is kept as a hash table.
 * For a row as the driver made it this is also worth while where it keeps all: it is such a copy of a blank row.
 */
export function copyRow(row: Readonly<Row>, names: readonly string[]): Row {
  const copy = rowObject(names.length)
  for (const name of names) {
    // Assigned, it would become the object's prototype; as a column it is one like the others.
    if (name === '__proto__') Object.defineProperty(copy, name, { ...PLAIN, value: row[name] })
    else copy[name] = row[name]
  }
  return copy
}

const PLAIN = { configurable: true, enumerable: true, writable: true } as const

/** Until seven objects are made, their room is what the constructor and its prototypes would assign. That can only be written out: so a wider one inherits. */
const ROOM = 26

function rowConstructor(properties: number): RowConstructor {
  const first = constructorWithRoom()
  let last = first
  for (let room = ROOM; room < properties; room += ROOM) {
    const next = constructorWithRoom()
    Object.setPrototypeOf(last, next)
    last = next
  }
  first.prototype = Object.prototype
  return first as unknown as RowConstructor
}

function constructorWithRoom() {
  return function RowObject(this: Row, isNever?: true) {
    if (isNever) {
      // biome-ignore format: one line is enough for what is never done
      this.a = this.b = this.c = this.d = this.e = this.f = this.g = this.h = this.i = this.j = this.k = this.l = this.m = 0
      // biome-ignore format: as above
      this.n = this.o = this.p = this.q = this.r = this.s = this.t = this.u = this.v = this.w = this.x = this.y = this.z = 0
    }
  }
}
