import { appendFileSync, chownSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { runCommand } from './command.js'
import { runTool, type Toolset } from './toolset.js'

/** What to copy: a running server's data folder, and the folder that is to hold the copy as `data`. */
export interface CopyTask {
  readonly toolset: Toolset
  readonly url: string
  readonly from: string
  readonly folder: string
}

/**
 * Copies a running server's data so that a server started on the copy is its streaming standby. The npm build has no
 * pg_basebackup; there the copy is made by the same protocol by hand (Postgres manual, "Making a Base Backup Using the
 * Low Level API").
 */
export async function copyDataFolder(task: CopyTask): Promise<void> {
  const { toolset, url, folder } = task
  if (!toolset.has('pg_basebackup')) return copyByHand(task)
  const wanted = ['--pgdata=data', '--write-recovery-conf', '--wal-method=stream', '--checkpoint=fast', '--no-sync']
  await runTool(toolset, 'pg_basebackup', [`--dbname=${url}`, ...wanted], folder)
}

async function copyByHand({ url, from, folder }: CopyTask): Promise<void> {
  const to = join(folder, 'data')
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`SELECT pg_backup_start('standby', true)`)
    await copyFiles(from, to)
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)')
    emptyForStandby(to)
    writeOwned(to, 'backup_label', rows[0]?.labelfile ?? '')
    writeOwned(to, 'standby.signal', '')
    const { hostname, port, username } = new URL(url)
    appendFileSync(
      join(to, 'postgresql.auto.conf'),
      `primary_conninfo = 'host=${hostname} port=${port} user=${username}'\n`,
    )
  } finally {
    await client.end()
  }
}

/** Keeps owners and modes. Files that vanish while cp runs are part of the protocol: the log brings them back in order. */
async function copyFiles(from: string, to: string): Promise<void> {
  await runCommand('cp', ['-Rp', from, to]).catch((error: Error) => {
    if (!/No such file or directory|vanished/.test(error.message)) throw error
  })
}

/** What belongs to the running server alone: its pid, its log, its replication slots. The standby streams its own log. */
function emptyForStandby(data: string): void {
  rmSync(join(data, 'postmaster.pid'), { force: true })
  rmSync(join(data, 'postmaster.opts'), { force: true })
  for (const name of ['pg_wal', 'pg_replslot']) {
    const folder = join(data, name)
    for (const entry of readdirSync(folder)) rmSync(join(folder, entry), { recursive: true, force: true })
  }
  const status = join(data, 'pg_wal', 'archive_status')
  mkdirSync(status, { mode: 0o700 })
  ownAs(data, status)
}

function writeOwned(data: string, name: string, text: string): void {
  const file = join(data, name)
  writeFileSync(file, text, { mode: 0o600 })
  ownAs(data, file)
}

/** Root copies for another account; an ordinary user owns what it makes. */
function ownAs(data: string, path: string): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(data)
  chownSync(path, uid, gid)
}
