/** The number that the decimal digits at `at` spell, or -1 when one of them is no digit. Exact up to 15 digits. */
export function digitsAt(bytes: Uint8Array, at: number, width: number): number {
  let number = 0
  for (let i = at; i < at + width; i++) {
    const digit = (bytes[i] ?? 0) - 0x30
    if (digit < 0 || digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

/** The number that the lower-case hex digits at `at` spell, or -1 when one of them is none. */
export function hexAt(bytes: Uint8Array, at: number, width: number): number {
  let number = 0
  for (let i = at; i < at + width; i++) {
    const byte = bytes[i] ?? 0
    const digit = byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : -1
    if (digit < 0) return -1
    number = number * 16 + digit
  }
  return number
}

/** True when each character is one byte from `!` to `~`, on the wire and in a terminal. */
export function isPrintable(text: string): boolean {
  return !/[^!-~]/.test(text)
}
