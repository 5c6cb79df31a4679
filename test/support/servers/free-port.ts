import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Ports are drawn from below the ranges that Linux (32768 up) and macOS (49152 up) hand out to outgoing connections:
 * while a killed server is down, no client's connection, not even one to itself, can take its port.
 * A cluster bus listens at port + 10000, so those must stay below the ranges too.
 */
const LOWEST = 10_000
const CLUSTER_BUS_OFFSET = 10_000
const HIGHEST_BELOW_BUS = 19_999
const HIGHEST = 29_999

/** Ports this process has handed out: a server that is about to bind one does not hold it yet. */
const taken = new Set<number>()

/** A loopback port nobody listens on. Another process may still take it first: start, and try another when that happens. */
export async function freePort(): Promise<number> {
  return draw(HIGHEST, [0])
}

/** A port whose cluster bus port (port + 10000, the default of every Redis version) is free as well. */
export async function freeClusterPort(): Promise<number> {
  return draw(HIGHEST_BELOW_BUS, [0, CLUSTER_BUS_OFFSET])
}

async function draw(highest: number, offsets: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(LOWEST, highest + 1)
    const wanted = offsets.map((offset) => port + offset)
    if (wanted.some((each) => taken.has(each))) continue
    const free = await Promise.all(wanted.map(isFree))
    if (!free.every(Boolean)) continue
    for (const each of wanted) taken.add(each)
    return port
  }
  throw new Error(
    `No free loopback port found between ${LOWEST} and ${highest} in 200 tries: is something holding them all?`,
  )
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    return true
  } catch {
    return false
  } finally {
    probe.close()
  }
}
