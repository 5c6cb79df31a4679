import { readFileSync } from 'node:fs'

const GUIDE = readFileSync(new URL('../../docs/guides/redis.md', import.meta.url), 'utf8')
const EXAMPLE = /^```hcl\n(.*?)^```/ms.exec(GUIDE)?.[1] ?? ''

/** What the Terraform example of the guide to Redis sets in its parameter group: names and values as redis.conf has them. */
export function terraformParameters(): Readonly<Record<string, string>> {
  const blocks = EXAMPLE.matchAll(/^ +parameter \{\n +name +=+ "(.+)"\n +value +=+ "(.*)"\n +\}$/gm)
  return Object.fromEntries([...blocks].map(([, name = '', value = '']) => [name, value]))
}

/** The arguments of one of its resources, as they are written: `3`, `true`, `"valkey"`. */
export function terraformArguments(type: string): Readonly<Record<string, string>> {
  const block = new RegExp(`^resource "${type}" "\\w+" \\{\\n(.*?)^\\}`, 'ms').exec(EXAMPLE)?.[1] ?? ''
  const lines = block.matchAll(/^ {2}(\w+) += (.+)$/gm)
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]))
}
