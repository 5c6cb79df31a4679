import { existsSync, lstatSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** A user of this machine, by number. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/**
 * The account that servers run under: undefined means "as ourselves". Postgres refuses to run as root, so root drops
 * to `postgres` or `nobody`; initdb wants a name for the number, so the account must be one that exists.
 */
export function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const rows = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const row = rows.find(([name]) => name === 'postgres') ?? rows.find(([name]) => name === 'nobody')
  if (row === undefined) {
    throw new Error(
      'Servers cannot run as root, and /etc/passwd has neither a user postgres nor nobody. ' +
        'Run the tests as an ordinary user, or create one: useradd --system postgres',
    )
  }
  return { uid: Number(row[2]), gid: Number(row[3]) }
}

/** Whether any user may reach and read the path: false for anything below a private folder such as /root. */
export function isReachableByAll(path: string): boolean {
  if (!existsSync(path)) return false
  const real = realpathSync(path)
  const leaf = lstatSync(real)
  if ((leaf.mode & 0o004) === 0 || (leaf.isDirectory() && (leaf.mode & 0o001) === 0)) return false
  for (let folder = dirname(real); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}
