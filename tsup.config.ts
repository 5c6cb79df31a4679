import { defineConfig, type Options } from 'tsup'

/** The package's doors, one for each entry of `exports` in package.json. */
const DOORS = ['index', 'migrations', 'testing'].map((door) => `src/${door}.ts`)

const SHARED: Options = {
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  // `node:crypto` stays what it is; tsup would shorten it to a name that a package could have.
  removeNodeProtocol: false,
  // p-limit and the one package it stands on are ESM only: without this, require('corral') would fail on Node 20.
  noExternal: ['p-limit', 'yocto-queue'],
}

export default defineConfig([
  {
    ...SHARED,
    // `bin` of package.json: run and never imported, so it has one format and no types.
    entry: [...DOORS, 'src/cli.ts'],
    format: 'esm',
    clean: true,
  },
  {
    ...SHARED,
    entry: DOORS,
    format: 'cjs',
  },
  {
    ...SHARED,
    entry: DOORS,
    format: ['esm', 'cjs'],
    // tsup sets a compiler option that TypeScript 6 deprecates, and fails on the notice otherwise.
    dts: { only: true, compilerOptions: { ignoreDeprecations: '6.0' } },
  },
])
