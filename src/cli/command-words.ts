import type { Command } from 'commander'

/** A word of a command line, as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w.,:/=@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** Options that say how work is done and by which config, and not what it is. */
const MANNER = ['config', 'rate', 'concurrency', 'limit', 'sample', 'recheck']

/** Those of them that were given, each with a blank before it. */
export function mannerOf(command: Command): string {
  const given = command.options.filter((option) => {
    const name = option.attributeName()
    return MANNER.includes(name) && command.getOptionValueSource(name) === 'cli'
  })
  return given
    .map((option) => ` ${option.long} ${quoted(String(command.getOptionValue(option.attributeName())))}`)
    .join('')
}
