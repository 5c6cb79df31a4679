import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { bundle } from './bundle.js'

/** Runs a rebuild in a process of its own and kills it with SIGKILL when it says that it has refilled so many. The last cursor it told. */
export async function rebuildUntilKilled(options: {
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly namespace: string
  readonly ratePerSecond: number
  readonly killAfter: number
}): Promise<{ readonly refilled: number; readonly cursor: string }> {
  const { databaseUrl, redisUrl, namespace, ratePerSecond, killAfter } = options
  const program = await bundle(new URL('rebuilding-process.ts', import.meta.url))
  const args = [program, databaseUrl, redisUrl, namespace, String(ratePerSecond)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let last: { refilled: number; cursor: string } | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    last = JSON.parse(line)
    if (last && last.refilled >= killAfter) child.kill('SIGKILL')
  }
  if (last === undefined) throw new Error('the rebuild ended before it told of anything')
  return last
}
