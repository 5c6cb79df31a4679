import { existsSync } from 'node:fs'
import { extname, resolve } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import type { Corral } from '../client.js'
import { type Inside, insideOf, operate } from '../inside.js'
import { reasonOf } from './reason-of.js'

/** The config cannot be found, loaded or used. */
export class ConfigFileError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'ConfigFileError'
  }
}

/** In this order; the first that is there is taken. */
export const CONFIG_FILES = ['ts', 'mts', 'cts', 'js', 'mjs', 'cjs'].map((ending) => `corral.config.${ending}`)

const TYPESCRIPT = ['.ts', '.mts', '.cts']

// biome-ignore lint/suspicious/noExplicitAny: whichever database the application's is
export type AnyCorral = Corral<any>

export interface LoadedConfig {
  readonly file: string
  readonly corral: AnyCorral
  readonly inside: Inside
}

/**
 * Runs the application's config and takes the instance of Corral it exports: as `default` or as `corral`, or as a promise of it.
 *
 * TypeScript goes through jiti, with the paths of the application's tsconfig.json; JavaScript through Node itself.
 *
 * @param given a file, relative to `cwd`. Undefined: the first of `CONFIG_FILES`.
 * @throws ConfigFileError
 */
export async function loadConfig(cwd: string, given: string | undefined): Promise<LoadedConfig> {
  const file = given === undefined ? findConfig(cwd) : resolve(cwd, given)
  if (!existsSync(file)) throw new ConfigFileError(`there is no ${file}`)
  operate()
  const idle = untilIdle()
  try {
    return await Promise.race([instanceIn(file), idle.reached.then(() => neverSettled(file))])
  } finally {
    idle.stop()
  }
}

async function instanceIn(file: string): Promise<LoadedConfig> {
  let exported: Record<string, unknown>
  try {
    exported = (await (TYPESCRIPT.includes(extname(file))
      ? importTypeScript(file)
      : importNative(file))) as typeof exported
  } catch (error) {
    throw failed(file, error)
  }
  for (const candidate of [
    exported.default,
    exported.corral,
    (exported.default as typeof exported | undefined)?.corral,
  ]) {
    const instance = await Promise.resolve(candidate).catch((error: unknown) => {
      throw failed(file, error)
    })
    const inside = insideOf(instance)
    if (inside) return { file, corral: instance as AnyCorral, inside }
  }
  const names = Object.keys(exported).join(', ')
  throw new ConfigFileError(
    `${file}: expected the instance that createCorral made as the default export or as \`corral\`, found ${names === '' ? 'no export' : `exports ${names}`}`,
  )
}

/** Until this process waits for nothing any more: no timer, no connection, no file. */
function untilIdle(): { readonly reached: Promise<void>; stop(): void } {
  let onIdle = () => {}
  const reached = new Promise<void>((resolve) => {
    onIdle = resolve
  })
  process.once('beforeExit', onIdle)
  return { reached, stop: () => void process.off('beforeExit', onIdle) }
}

function neverSettled(file: string): never {
  throw new ConfigFileError(`${file} waits for a promise that never settles: nothing is left that could settle it`)
}

function failed(file: string, error: unknown): ConfigFileError {
  return new ConfigFileError(`${file} failed: ${reasonOf(error)}`, error)
}

function findConfig(cwd: string): string {
  const found = CONFIG_FILES.map((name) => resolve(cwd, name)).find((file) => existsSync(file))
  if (found !== undefined) return found
  throw new ConfigFileError(`there is none of ${CONFIG_FILES.join(', ')} in ${cwd}; name one with --config`)
}

async function importTypeScript(file: string): Promise<unknown> {
  const { createJiti } = await import('jiti')
  // Nothing is written beside the application's files.
  return createJiti(pathToFileURL(file).href, { fsCache: false, interopDefault: false, tsconfigPaths: true }).import(
    file,
  )
}

function importNative(file: string): Promise<unknown> {
  return import(pathToFileURL(file).href)
}
