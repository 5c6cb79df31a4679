/** A place in the write-ahead log: places compare as numbers do. */
export type Lsn = bigint

const HALF = 32n

/** @param text as Postgres prints it: `16/B374D848`. */
export function parseLsn(text: string): Lsn {
  const [high = '', low = ''] = text.split('/')
  return (BigInt(`0x${high}`) << HALF) | BigInt(`0x${low}`)
}

export function formatLsn(lsn: Lsn): string {
  const part = (value: bigint) => value.toString(16).toUpperCase()
  return `${part(lsn >> HALF)}/${part(BigInt.asUintN(32, lsn))}`
}

const PAGE = 8_192n
/** Lengths of the headers that a page of the log may begin with. */
const HEADERS = [24n, 40n]

/**
 * The end of what has been inserted, from `pg_current_wal_insert_lsn()`: that is where the next record will begin, which at the start of a
 * page lies behind a header that is only written with that record.
 */
export function endOfLog(insert: Lsn): Lsn {
  const into = insert % PAGE
  return HEADERS.includes(into) ? insert - into : insert
}
