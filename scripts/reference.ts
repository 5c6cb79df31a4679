/**
 * Writes the pages of docs/reference that `referencePages` lists from the source, so that they cannot say anything else.
 *
 * Usage: npm run reference               writes the pages
 *        npm run reference -- --check    fails if a page is not what would be written
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, type Option } from 'commander'
import ts from 'typescript'
import { ATTRIBUTES, type AttributeDefinition, type AttributeKey } from '../src/adapters/otel/attribute-names.js'
import {
  DURATION_BUCKETS,
  METRICS,
  type MetricDefinition,
  SPANS,
  type SpanDefinition,
} from '../src/adapters/otel/names.js'
import { CommandFrame, withCommonOptions } from '../src/cli/command-frame.js'
import { FINDINGS } from '../src/cli/doctor/findings.js'
import { EXIT_CODES } from '../src/cli/exit-codes.js'
import { corralProgram } from '../src/cli/program.js'
import type { World } from '../src/cli/world.js'
import { DEFAULTS } from '../src/config.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

export interface Page {
  readonly path: string
  readonly text: string
}

export function referencePages(): Page[] {
  return [
    { path: 'docs/reference/options.md', text: optionsPage() },
    { path: 'docs/reference/errors.md', text: errorsPage() },
    { path: 'docs/reference/events.md', text: eventsPage() },
    { path: 'docs/reference/metrics.md', text: metricsPage() },
    { path: 'docs/reference/spans.md', text: spansPage() },
    { path: 'docs/reference/cli.md', text: cliPage() },
  ]
}

function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readFileSync(`${ROOT}${path}`, 'utf8'), ts.ScriptTarget.Latest, true)
}

/** The doc comment in front of a node, as one line. */
function docOf(node: ts.Node): string {
  const comments = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc)
  const text = comments.map((comment) => ts.getTextOfJSDocComment(comment.comment) ?? '').join(' ')
  return text.replace(/\s+/g, ' ').trim()
}

function interfaces(source: ts.SourceFile): Map<string, ts.InterfaceDeclaration> {
  return new Map(source.statements.filter(ts.isInterfaceDeclaration).map((node) => [node.name.text, node]))
}

function properties(node: ts.InterfaceDeclaration): { name: string; type: string; doc: string }[] {
  return node.members.filter(ts.isPropertySignature).map((member) => ({
    name: member.name.getText(),
    type: member.type?.getText().replace(/\s+/g, ' ') ?? '',
    doc: docOf(member),
  }))
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function interfaceIn(path: string, name: string): ts.InterfaceDeclaration {
  return interfaces(parse(path)).get(name) as ts.InterfaceDeclaration
}

/** What `@param options.<name>` says in the doc comment of a method. */
function parameterOptions(owner: ts.InterfaceDeclaration, method: string): { name: string; doc: string }[] {
  const member = owner.members.find((each) => each.name?.getText() === method) as ts.TypeElement
  return ts.getJSDocTags(member).flatMap((tag) => {
    if (!ts.isJSDocParameterTag(tag)) return []
    const [, name] = tag.name.getText().split('.')
    const doc = ts.getTextOfJSDocComment(tag.comment) ?? ''
    return name === undefined ? [] : [{ name, doc: doc.charAt(0).toUpperCase() + doc.slice(1) }]
  })
}

/** The options that an interface takes over from another one by `Pick`. */
function picked(declaration: ts.InterfaceDeclaration): string[] {
  const names = declaration.heritageClauses?.map((clause) => clause.getText()).join(' ') ?? ''
  return [...names.matchAll(/'(\w+)'/g)].map(([, name]) => `\`${name}\``)
}

function optionsPage(): string {
  const config = interfaces(parse('src/config.ts'))
  const client = interfaces(parse('src/client.ts'))
  const groupRows = properties(config.get('OptionGroups') as ts.InterfaceDeclaration)
  const groupNames = new Set(groupRows.map(({ name }) => name))
  const groups = groupRows.map(({ name, type }) => {
    const group = config.get(type) as ts.InterfaceDeclaration
    const defaults = DEFAULTS[name as keyof typeof DEFAULTS] as Readonly<Record<string, unknown>>
    const rows = properties(group).map((leaf) => [
      `\`${name}.${leaf.name}\``,
      Number(defaults[leaf.name]).toLocaleString('en'),
      leaf.doc.replace(/ ?Default [^.]+(\.\d+)?\.(?=$| )/g, ''),
    ])
    return `## ${name}\n\n${docOf(group)}\n\n${table(['option', 'default', 'what it changes'], rows)}\n`
  })
  const listed = (rows: readonly { name: string; doc: string }[]) =>
    table(
      ['option', 'what it is'],
      rows.map((row) => [`\`${row.name}\``, row.doc]),
    )
  const describe = (declaration: ts.InterfaceDeclaration, skip: ReadonlySet<string>) =>
    listed(properties(declaration).filter((row) => !skip.has(row.name)))
  const own = (name: string, skip: ReadonlySet<string>) => describe(client.get(name) as ts.InterfaceDeclaration, skip)
  const telemetry = interfaceIn('src/adapters/otel/telemetry-options.ts', 'TelemetryOptions')
  const encryption = interfaceIn('src/adapters/codec/encryption-options.ts', 'EncryptionOptions')
  const relay = interfaceIn('src/relay-options.ts', 'RelayOptions')
  const slot = interfaceIn('src/relay-options.ts', 'SlotOptions')
  const query = interfaceIn('src/query.ts', 'QueryOptions')
  const queryRead = interfaceIn('src/query.ts', 'QueryReadOptions')
  const section = (title: string, path: string, name: string) =>
    `## ${title}\n\n${describe(interfaceIn(path, name), new Set())}\n`
  const session = parameterOptions(client.get('Corral') as ts.InterfaceDeclaration, 'session')
  const relayProcess = interfaceIn('src/relay-process.ts', 'RelayProcessOptions')
  return page('Options', [
    'Unknown options, wrong types and values out of range are refused at start with a message that names the option, what was expected and what was found. Times are milliseconds.',
    `## createCorral\n\n${own('CorralOptions', groupNames)}\n`,
    ...groups,
    `## telemetry\n\n${docOf(telemetry)}\n\n${describe(telemetry, new Set())}\n`,
    `## encryption\n\n${docOf(encryption)}\n\n${describe(encryption, new Set())}\n`,
    `## relay.source, relay.slot\n\n${describe(relay, new Set())}\n\n${docOf(slot)}\n\n${describe(slot, new Set())}\n`,
    `## corral.repository\n\n${describe(interfaceIn('src/repository.ts', 'RepositoryOptions'), new Set())}\n`,
    `## corral.query\n\n${describe(query, new Set())}\n\nAnd of each call of it:\n\n${describe(queryRead, new Set())}\n`,
    section('corral.transaction', 'src/transaction.ts', 'TransactionOptions'),
    `## corral.session\n\n${listed(session)}\n`,
    section('corral.withFencedLock', 'src/fenced-lock.ts', 'LockOptions'),
    section('repository.warm', 'src/table/warm-up.ts', 'WarmUpOptions'),
    section('corral.audit', 'src/table/audit.ts', 'AuditOptions'),
    section('corral.rebuild', 'src/table/rebuild.ts', 'RebuildOptions'),
    `## startRelay\n\n${describe(relayProcess, new Set())}\n\nThe same as for \`createCorral\`: ${picked(relayProcess).join(', ')}.\n`,
  ])
}

function errorsPage(): string {
  const source = parse('src/core/errors.ts')
  const others = [parse('src/session.ts')]
  const classes = [source, ...others].flatMap((file) => file.statements.filter(ts.isClassDeclaration))
  const rows = classes.flatMap((node) => {
    const code = /super\(\s*'([A-Z_]+)'/.exec(node.getText())?.[1]
    return code === undefined ? [] : [[`\`${code}\``, `\`${node.name?.text}\``, docOf(node)]]
  })
  const declared = source.statements.find((node) => ts.isTypeAliasDeclaration(node) && node.name.text === 'ErrorCode')
  for (const [, code] of declared?.getText().matchAll(/'([A-Z_]+)'/g) ?? []) {
    if (!rows.some(([cell]) => cell === `\`${code}\``)) throw new Error(`no error class throws ${code}`)
  }
  return page('Errors', [
    "Match on `code`, never on the message; `isCorralError(error, code)` also works across duplicate installs. `retryable` says whether the same call may succeed later. `name` is what a stack trace shows: of the classes `CorralError` and, for its `expected` and `actual`, `StaleWriteError` can be imported. `cause` is the original error, of a connection to Redis without the command that was refused: that may hold a password. A write's database error is the driver's own and passes through untouched; an aborted call rejects with its signal's reason.",
    table(['code', '`name`', 'when'], rows),
  ])
}

function eventsPage(): string {
  const source = parse('src/core/events.ts')
  const union = source.statements.find((node) => ts.isTypeAliasDeclaration(node) && node.name.text === 'CorralEvent')
  const members = ((union as ts.TypeAliasDeclaration).type as ts.UnionTypeNode).types.filter(ts.isTypeLiteralNode)
  const rows = members.map((member) => {
    const fields = member.members.filter(ts.isPropertySignature).map((field) => ({
      name: `${field.name.getText()}${field.questionToken ? '?' : ''}`,
      type: (field.type?.getText() ?? '').replace(/\s+/g, ' '),
    }))
    const type = fields.find(({ name }) => name === 'type')?.type.replaceAll("'", '')
    const rest = fields.filter(({ name }) => name !== 'type').map(({ name, type: of }) => `\`${name}: ${of}\``)
    return [`\`${type}\``, rest.join('<br>'), commentBefore(source, member)]
  })
  return page('Events', [
    'Everything Corral reports, to `onEvent` of `createCorral`. One closed union: a `switch` over `type` can be exhaustive. Keys appear where an operator needs them; values never do. A listener is called synchronously and must not wait; what it throws is dropped.',
    table(['type', 'fields', 'meaning'], rows),
  ])
}

function metricsPage(): string {
  const metrics: readonly MetricDefinition[] = Object.values(METRICS)
  const rows = metrics.map(({ name, kind, unit, attributes, description }) => [
    `\`${name}\``,
    kind,
    unit,
    namesOf(attributes),
    description,
  ])
  return page('Metrics', [
    `Of the meter \`corral\`. No key and no value is ever an attribute: what varies is tables, queries and the words below. Every metric also has \`${ATTRIBUTES.namespace.name}\`. See [observability](../guides/observability.md).`,
    table(['name', 'instrument', 'unit', 'attributes', 'what it says'], rows),
    `\`observed\` ones are read when metrics are collected. Histograms have the bounds ${DURATION_BUCKETS.join(', ')} s, unless a view says otherwise. The Prometheus exporter of the JavaScript SDK writes \`cache.load.duration\` as \`cache_load_duration\` and a counter with \`_total\`; that of a Collector adds the unit too.`,
    attributesTable(metrics.flatMap(({ attributes }) => attributes)),
  ])
}

function spansPage(): string {
  const spans: readonly SpanDefinition[] = Object.values(SPANS)
  const rows = spans.map(({ name, attributes, description }) => [`\`${name}\``, namesOf(attributes), description])
  return page('Spans', [
    "Of the tracer `corral`. The span's name is followed by the name of the table or query, where there is one. All are of kind INTERNAL, so the instrumentations of pg and ioredis keep their CLIENT spans, which become children of these. Messages of errors are left out: drivers quote values in them. See [observability](../guides/observability.md).",
    table(['name', 'attributes', 'what it covers'], rows),
    attributesTable(spans.flatMap(({ attributes }) => attributes)),
  ])
}

function cliPage(): string {
  // Only described, never run.
  const program = corralProgram(new CommandFrame({} as World), '')
  const common = withCommonOptions(new Command()).options
  const isCommon = ({ long }: { long?: string | undefined }) => common.some((each) => each.long === long)
  const optionRows = (options: Command['options']) =>
    options.map((option) => [`\`${option.flags}\``, option.description + valuesOf(option)])
  const section = (command: Command, parent: string): string[] => {
    const name = `${parent} ${command.name()}`
    if (command.commands.length > 0) return command.commands.flatMap((inner) => section(inner, name))
    const given = command.registeredArguments.map((each) => [
      `\`${each.name()}${each.variadic ? '…' : ''}\``,
      each.description,
    ])
    const usage = command.registeredArguments.map((each) => {
      const text = `${each.name()}${each.variadic ? '…' : ''}`
      return each.required ? ` <${text}>` : ` [${text}]`
    })
    const rows = [...given, ...optionRows(command.options.filter((option) => !isCommon(option)))]
    const parts = [`## ${name}`, `\`${name}${usage.join('')}\``, command.description()]
    return [[...parts, ...(rows.length > 0 ? [table(['', 'what it is'], rows)] : [])].join('\n\n')]
  }
  const findings = Object.entries(FINDINGS).map(([id, [severity, why]]) => [`\`${id}\``, severity, why])
  const exits = Object.values(EXIT_CODES).map(({ code, meaning }) => [`\`${code}\``, meaning])
  return page('Command line', [
    'The command `corral` comes with the package: `npx corral --help`. It runs the config of your service, which exports the instance that `createCorral` made, and so connects as the service does, but runs no relay of its own. See [the guide](../guides/cli.md).',
    `Every command also takes:\n\n${table(['', 'what it is'], optionRows(common))}`,
    `## Exit codes\n\n${table(['code', 'meaning'], exits)}`,
    ...program.commands.flatMap((command) => section(command, 'corral')),
    `## What corral doctor finds\n\n\`critical\`: rows can be shown that are out of date for longer than promised, or something does not work at all. \`warning\`: it will, when something fails. \`notice\`: worth knowing. What could not be looked at is listed as not checked.\n\n${table(['finding', 'severity', 'why it matters'], findings)}`,
  ])
}

/** What an option may be, and what it is where it is left out. */
function valuesOf({ argChoices, mandatory, defaultValue }: Option): string {
  const said = [
    ...(argChoices ? [argChoices.map((choice) => `\`${choice}\``).join(', ')] : []),
    ...(mandatory ? ['required'] : []),
    ...(typeof defaultValue === 'number' ? [`default ${defaultValue.toLocaleString('en')}`] : []),
    ...(typeof defaultValue === 'string' ? [`default \`${defaultValue}\``] : []),
  ]
  return said.length === 0 ? '' : ` (${said.join('; ')})`
}

function namesOf(attributes: readonly AttributeKey[]): string {
  return attributes.map((key) => `\`${ATTRIBUTES[key].name}\``).join('<br>')
}

function attributesTable(keys: readonly AttributeKey[]): string {
  const rows = [...new Set(keys)].map((key) => {
    const { name, values, description }: AttributeDefinition = ATTRIBUTES[key]
    return [`\`${name}\``, (values ?? []).map((value) => `\`${value}\``).join(', '), description]
  })
  return `## Attributes\n\n${table(['name', 'values', 'meaning'], rows)}`
}

/** The comment above a member of a union, where the compiler keeps none. */
function commentBefore(source: ts.SourceFile, node: ts.Node): string {
  const text = source.getFullText()
  const before = text.slice(0, node.getStart()).replace(/\|\s*$/, '')
  const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(before)?.[1] ?? ''
  return comment
    .replace(/\s*\*\s?/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

function page(title: string, parts: readonly string[]): string {
  return `# ${title}\n\nWritten from the source by \`scripts/reference.ts\`; a test compares it.\n\n${parts.join('\n\n').trimEnd()}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes('--check')
  for (const { path, text } of referencePages()) {
    if (!check) writeFileSync(`${ROOT}${path}`, text)
    else if (readFileSync(`${ROOT}${path}`, 'utf8') !== text) {
      console.error(`${path} is out of date: run npm run reference`)
      process.exitCode = 1
    }
  }
}
