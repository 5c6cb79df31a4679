import { Command } from 'commander'
import type { CorralEvent } from '../../core/events.js'
import { asRelay } from '../../inside.js'
import { type EventLogger, logEvents } from '../../log-events.js'
import { startRelay } from '../../relay-process.js'
import type { CommandContext, CommandFrame, CommandResult } from '../command-frame.js'
import { ConfigFileError } from '../config-file.js'

export function relayCommand(frame: CommandFrame): Command {
  return new Command('relay')
    .description(
      'Carries the outbox to the cache until it is told to end; run two or more, one works at a time. Ends with 0 on Ctrl-C and SIGTERM, after the page under way. With --json each event is a line of JSON on stdout.',
    )
    .option('--verbose', 'also say what belongs to normal work: every batch, every second')
    .action(frame.action((context, _, { verbose }) => relay(context, verbose === true)))
}

async function relay({ world, inside, signal, isJson }: CommandContext, isVerbose: boolean): Promise<CommandResult> {
  const { db, redis, namespace, secret, telemetry, settings, slot, replica } = inside
  if (redis === undefined) {
    throw new ConfigFileError(
      'the config gives no `redis`: there is no cache outside of its process that a relay could tell',
    )
  }
  const say = (event: CorralEvent) => {
    if (isJson) world.out.write(`${JSON.stringify(jsonOf(world.clock.wallMs(), event))}\n`)
    else toText(event)
  }
  const toText = logEvents(loggerTo((line) => world.out.write(`${line}\n`), world.clock, isVerbose))
  const process = asRelay(() =>
    startRelay({
      ...{
        db,
        redis,
        namespace,
        cache: settings.cache,
        bus: settings.bus,
        relay: { ...settings.relay, ...(slot && { source: 'slot', slot }) },
      },
      ...(secret === undefined ? {} : { secret }),
      ...(telemetry === undefined ? {} : { telemetry }),
      // It loads nothing itself, but its fences have to be remembered for those that load from a standby.
      ...(replica && { replica: {} }),
      onEvent: (event) => {
        if (isVerbose || !isJson || !CHATTER.includes(event.type)) say(event)
      },
    }),
  )
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  await process.close()
  return { json: { type: 'ended' }, isLine: true, text: 'ended' }
}

/** What says nothing but that all is well. */
const CHATTER: readonly CorralEvent['type'][] = ['relay.batch', 'relay.beat', 'fence']

function jsonOf(atMs: number, event: CorralEvent): object {
  const { type, ...fields } = event
  if (!('error' in fields)) return { at: new Date(atMs).toISOString(), type, ...fields }
  const { name, code } = (fields.error ?? {}) as { name?: unknown; code?: unknown }
  return { at: new Date(atMs).toISOString(), type, ...fields, error: { name, code } }
}

function loggerTo(write: (line: string) => void, clock: { wallMs(): number }, isVerbose: boolean): EventLogger {
  const line = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    const said = Object.entries(fields).map(
      ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`,
    )
    write([new Date(clock.wallMs()).toISOString(), level, message, ...said].join(' '))
  }
  return { debug: isVerbose ? line('debug') : () => {}, info: line('info'), warn: line('warn'), error: line('error') }
}
