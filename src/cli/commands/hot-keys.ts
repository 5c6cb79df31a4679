import { Command } from 'commander'
import type { CommandContext, CommandFrame, CommandResult, Options } from '../command-frame.js'
import { ConfigFileError } from '../config-file.js'
import { adminOf } from '../doctor/patient.js'
import { clientFacts } from '../doctor/redis-client.js'
import { openNodes } from '../doctor/redis-nodes.js'
import { sampleReads } from '../hot-key-sample.js'
import { textTable } from '../text-table.js'
import { wholeNumber } from '../whole-number.js'

export function hotKeysCommand(frame: CommandFrame): Command {
  return new Command('hot-keys')
    .description(
      'Shows which entries Redis is asked for most, by listening to it for a moment (MONITOR, which about halves what a server can do while it lasts). What the memory of a process answers is not among them: for that ask corral.hotKeys() in the service. Needs a Redis user that may MONITOR: CORRAL_ADMIN_USERNAME and CORRAL_ADMIN_PASSWORD.',
    )
    .option('--seconds <n>', 'how long to listen', wholeNumber(1, 60), 2)
    .option('--max-reads <n>', 'end the listening after so many', wholeNumber(1, 10_000_000), 200_000)
    .option('--limit <n>', 'keys to show', wholeNumber(1, 10_000), 10)
    .action(frame.action(hotKeys))
}

async function hotKeys(
  { world, inside, signal }: CommandContext,
  _: readonly string[],
  options: Options,
): Promise<CommandResult> {
  const { redis, namespace } = inside
  if (redis === undefined) throw new ConfigFileError('the config gives no `redis`: ask corral.hotKeys() in the service')
  const { clock } = world
  const { nodes, own } = await openNodes({ inside, clock, seeds: [], admin: adminOf(world.env) })
  try {
    const { keys, reads, listenedMs } = await sampleReads({
      // Replicas are told what their primary is; nobody reads from them.
      ...{ nodes: await primaries(nodes), clock, signal },
      prefix: `${clientFacts(redis).keyPrefix}${namespace}:{`,
      listenMs: (options.seconds as number) * 1_000,
      maxReads: options.maxReads as number,
    })
    const shown = keys.slice(0, options.limit as number).map(({ key, node, reads: count }) => ({
      ...{ key, node, reads: count, share: count / reads },
      perSecond: Math.round((count * 1_000) / listenedMs),
    }))
    const rows = shown.map((each) => [each.key, `${each.perSecond}/s`, `${(each.share * 100).toFixed(1)} %`, each.node])
    const heard = `${reads} reads in ${listenedMs} ms`
    const text = rows.length === 0 ? heard : `${textTable([['key', 'reads', 'share', 'server'], ...rows])}\n${heard}`
    return { json: { reads, listenedMs, keys: shown }, text }
  } finally {
    own.disconnect()
    for (const { connection } of nodes) connection.disconnect()
  }
}

async function primaries(nodes: Awaited<ReturnType<typeof openNodes>>['nodes']) {
  const roles = await Promise.all(nodes.map(({ connection }) => connection.call('role').catch(() => undefined)))
  return nodes.filter((_, at) => !String((roles[at] as unknown[] | undefined)?.[0] ?? 'master').startsWith('slave'))
}
