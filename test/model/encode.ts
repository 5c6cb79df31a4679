import type {
  Entry,
  Fence,
  Fill,
  FillStep,
  Floor,
  Message,
  Place,
  Process,
  Reader,
  ReaderStep,
  State,
  Value,
  Writer,
  WriterStep,
} from './state.js'

const READER_STEPS: Record<ReaderStep, number> = {
  ...{ idle: 0, again: 1, looked: 2, 'looked-copy': 3, waits: 4, landing: 5, loads: 6, loaded: 7 },
}
const FILL_STEPS: Record<FillStep, number> = {
  wants: 0,
  reads: 1,
  leased: 2,
  loaded: 3,
  sent: 4,
  stored: 5,
  'loaded-standby': 6,
  'sent-standby': 7,
}
const FILL_REASONS: Record<Fill['reason'], number> = { miss: 0, refresh: 1, copy: 2 }
const WRITER_STEPS: Record<WriterStep, number> = {
  ...{ idle: 0, committed: 1, confirms: 2, fences: 3, announces: 4, 'commits-late': 5, doubts: 6, asks: 7 },
}
const OUTCOMES: Record<Writer['outcome'], number> = { open: 0, committed: 1, aborted: 2 }
/** How many numbers stand for one fill. */
const FILL_NUMBERS = 11
/** All numbers here are small; as characters they count up from a printable one. */
const FIRST = 40

/** One buffer for all states: encoding is what exploring spends its time on. */
const numbers = new Uint16Array(512)
let length = 0

function put(number: number): void {
  numbers[length++] = number + FIRST
}

/**
 * A state as text. What cannot matter any more is left out: a token is only ever compared with the lease, so fills are written in
 * an order of their own and the lease as the place of its fill in it.
 */
export function encode(state: State): string {
  const order = fillsInOrder(state)
  length = 0
  put(state.history.length)
  let rows = 0
  for (const hasRow of state.history) rows = rows * 2 + Number(hasRow)
  put(rows)
  put(state.standby)
  for (const place of state.places) putPlace(place, order)
  if (state.budget.failover > 0) for (const place of state.replica) putPlace(place, order)
  for (const process of state.processes) putProcess(process)
  for (const reader of state.readers) putReader(reader, state.processes[reader.process] as Process, order)
  for (const writer of state.writers) putWriter(writer)
  for (const fill of order) putFill(fill, state.processes[fill.process] as Process)
  put(state.acknowledged)
  put(state.returned)
  put(state.unrelayed)
  put(state.forgotten)
  put(state.relaying === undefined ? -1 : state.relaying.commit * 4 + state.relaying.at)
  put(state.epoch * 4 + Number(state.unepoched) * 2 + Number(state.hasFailedOver))
  for (const fault in state.budget) put(state.budget[fault as keyof State['budget']])
  return String.fromCharCode.apply(null, numbers.subarray(0, length) as unknown as number[])
}

/** By what they are, not by when they began. */
function fillsInOrder(state: State): readonly Fill[] {
  const { fills } = state
  if (fills.length < 2) return fills
  const coded = fills.map((fill) => {
    length = 0
    putFill(fill, state.processes[fill.process] as Process)
    return { fill, code: String.fromCharCode.apply(null, numbers.subarray(0, FILL_NUMBERS) as unknown as number[]) }
  })
  coded.sort((a, b) => (a.code < b.code ? -1 : a.code > b.code ? 1 : 0))
  return coded.map(({ fill }) => fill)
}

function entryNumber(entry: Entry | undefined): number {
  if (entry === undefined) return -1
  return entry.of * 8 + Number(entry.absent) * 4 + Number(entry.expired) * 2 + entry.epoch
}

function valueNumber(value: Value | undefined): number {
  return value === undefined ? -1 : value.of * 2 + Number(value.absent)
}

function floorNumber(floor: Floor | undefined): number {
  return floor === undefined ? -1 : floor.version * 4 + Number(floor.absent) * 2 + Number(floor.isUnordered ?? false)
}

/** Place of the fill with this token among the others; 30 when it is gone, and so nobody can use the token any more. */
function tokenNumber(token: number, order: readonly Fill[]): number {
  if (token === 0) return 0
  const at = order.findIndex((fill) => fill.token === token)
  return at < 0 ? 30 : at + 1
}

function putPlace(place: Place, order: readonly Fill[]): void {
  put(entryNumber(place.entry))
  put(place.fence)
  put(place.fencedXid)
  put(place.unordered)
  put(tokenNumber(place.lease, order))
}

function fenceNumber({ place, version, xid }: Fence): number {
  return place * 256 + (version ?? 15) * 16 + xid
}

function messageNumber({ from, version, absent, raises }: Message): number {
  return from * 128 + (version ?? 15) * 4 + Number(absent) * 2 + Number(raises)
}

function putProcess(process: Process): void {
  const { alive, trusted, deaf, gap, sawAbsence } = process
  put(Number(alive) + 2 * Number(trusted) + 4 * Number(deaf) + 8 * Number(gap) + 16 * Number(sawAbsence))
  put(floorNumber(process.floor))
  put(process.epoch)
  put(process.horizon)
  put(valueNumber(process.near))
  put(process.shown)
  put(process.own)
  put(process.pending.length)
  for (const fence of process.pending) put(fenceNumber(fence))
  put(process.inbox.length)
  for (const message of process.inbox) put(messageNumber(message))
}

/** Generations and floors that were noted are only ever compared with what they are now. */
function putReader(reader: Reader, process: Process, order: readonly Fill[]): void {
  put(reader.left)
  put(READER_STEPS[reader.step])
  if (reader.step === 'idle') return
  put(reader.acknowledged)
  put(reader.known)
  put(entryNumber(reader.held))
  put(entryNumber(reader.heldInCopy))
  put(Number(reader.generation === process.generation) + 2 * Number(reader.before === process.floor))
  put(valueNumber(reader.value) * 2 + Number(reader.viaCopy))
  put(tokenNumber(reader.fill, order))
}

function putFill(fill: Fill, process: Process): void {
  put(fill.process)
  put(fill.place)
  put(FILL_REASONS[fill.reason])
  put(FILL_STEPS[fill.step])
  put(Number(fill.storesNothing) + 2 * Number(fill.useless) + 4 * Number(fill.joinable) + 8 * Number(fill.askedStandby))
  put(entryNumber(fill.seen))
  put(Number(fill.generation === process.generation) + 2 * Number(fill.before === process.floor))
  put(fill.epoch)
  put(fill.horizon)
  put(valueNumber(fill.value))
  put(fill.covers)
}

function putWriter(writer: Writer): void {
  put(writer.done)
  put(WRITER_STEPS[writer.step])
  if (writer.step === 'idle') return
  put(writer.commit)
  put(writer.at)
  put(Number(writer.isPending) + 2 * Number(writer.isFencedTwice))
  put(OUTCOMES[writer.outcome])
  put(writer.replacement)
}
