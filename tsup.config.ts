import { existsSync } from 'node:fs'
import { defineConfig } from 'tsup'

/** The package's doors, one for each entry of `exports` and `bin` in package.json. */
const DOORS = ['index', 'migrations', 'testing', 'cli']

export default defineConfig({
  entry: DOORS.map((door) => `src/${door}.ts`).filter((file) => existsSync(file)),
  format: ['esm', 'cjs'],
  target: 'node20',
  platform: 'node',
  clean: true,
  sourcemap: true,
  // `node:crypto` stays what it is; tsup would shorten it to a name that a package could have.
  removeNodeProtocol: false,
  // p-limit and the one package it stands on are ESM only: without this, require('corral') would fail on Node 20.
  noExternal: ['p-limit', 'yocto-queue'],
  // tsup sets a compiler option that TypeScript 6 deprecates, and fails on the notice otherwise.
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
})
