import { Buffer } from 'node:buffer'
import { ConfigError } from '../core/errors.js'

/**
 * A job's position as text, with what it has counted so far: whoever keeps it can go on after this process is gone. `scope` tells jobs
 * apart that do different things.
 */
export function writeCursor(job: string, scope: readonly unknown[], position: object): string {
  return `${job}.${Buffer.from(JSON.stringify([scope, position])).toString('base64url')}`
}

/** @throws ConfigError unless it was written by the same job with the same scope. */
export function readCursor<Position extends object>(
  job: string,
  scope: readonly unknown[],
  cursor: unknown,
  check: (position: Partial<Position>) => boolean,
): Position {
  if (typeof cursor === 'string' && cursor.startsWith(`${job}.`)) {
    try {
      const text = Buffer.from(cursor.slice(job.length + 1), 'base64url').toString('utf8')
      const [writtenFor, position] = JSON.parse(text) as [unknown, Position]
      const isObject = typeof position === 'object' && position !== null
      if (JSON.stringify(writtenFor) === JSON.stringify(scope) && isObject && check(position)) return position
    } catch {}
  }
  throw new ConfigError(`${job}.after`, `the \`cursor\` of an earlier ${job} with the same options`, cursor)
}
