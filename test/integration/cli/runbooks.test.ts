import { readFileSync } from 'node:fs'
import pg from 'pg'
import { expect, it } from 'vitest'
import { fencedLocksSql, outboxTablesSql } from '../../../src/migrations.js'
import { freshDatabase } from '../../support/services.js'

const RUNBOOKS = readFileSync('docs/guides/runbooks.md', 'utf8')
const statements = [...RUNBOOKS.matchAll(/`((?:select|delete) [^`]*;)`/g)].map((match) => match[1] as string)

it('every statement in the runbooks runs', async () => {
  const db = new pg.Client({ connectionString: await freshDatabase() })
  await db.connect()
  for (const statement of [...outboxTablesSql().up, ...fencedLocksSql().up]) await db.query(statement)
  expect(statements.length).toBeGreaterThan(4)
  for (const statement of statements) await db.query(statement)
  await db.end()
})
