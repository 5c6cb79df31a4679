import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** How tests on servers run, with whichever Kysely. */
const ON_SERVERS = {
  // Most of what they do is to wait for servers.
  maxWorkers: 3,
  isolate: false,
  globalSetup: ['test/support/global-setup.ts'],
  testTimeout: 20_000,
  hookTimeout: 60_000,
  sequence: { groupOrder: 2 },
}

/**
 * Groups run one after the other, so that what floods servers does not disturb what measures
 * time; the package is built beside the unit tests. `npx vitest run --project unit` runs one alone, and starts no server.
 *
 * Where files are not isolated, those of one worker share their modules: to load all of them for each file was half of what unit tests took. So a
 * test puts back whatever of the process it has changed.
 */
export default defineConfig({
  test: {
    // Vitest leaves one core to itself; on two cores that would be one file at a time, and most of ours wait for servers.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{unit,contract,guarantees,model,simulation}/**/*.test.ts'],
          // Nothing in them waits for time to pass: how long a busy machine takes is not their subject.
          testTimeout: 20_000,
          isolate: false,
          // The model makes millions of states that are gone a moment later: with room for them, a fifth less of its time goes into collecting them.
          execArgv: ['--max-semi-space-size=32'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'types',
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ['test/types/**/*.test-d.ts'],
            // An error anywhere fails the run, so that the compiler has everything to look at once only.
            tsconfig: 'tsconfig.json',
          },
          sequence: { groupOrder: 1 },
        },
      },
      {
        // The examples import the package by its name, as their readers will.
        resolve: {
          alias: [
            { find: /^corral$/, replacement: fileURLToPath(new URL('src/index.ts', import.meta.url)) },
            { find: /^corral\/migrations$/, replacement: fileURLToPath(new URL('src/migrations.ts', import.meta.url)) },
          ],
        },
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          ...ON_SERVERS,
        },
      },
      {
        // What an application has that installs Kysely today; all others run on 0.28.
        resolve: {
          alias: [
            { find: /^kysely$/, replacement: 'kysely-newest' },
            { find: /^kysely\/(.*)$/, replacement: 'kysely-newest/$1' },
          ],
        },
        test: {
          name: 'newest-kysely',
          include: [
            'test/newest-kysely/**/*.test.ts',
            'test/unit/postgres/{known-statements,query-dependencies,write-capture,write-statement}.test.ts',
            'test/integration/{write-capture,repository-writes}.test.ts',
            'test/integration/postgres/{catalog,row-source}.test.ts',
          ],
          ...ON_SERVERS,
        },
      },
      {
        test: {
          name: 'package',
          include: ['test/package/**/*.test.ts'],
          globalSetup: ['test/package/global-setup.ts', 'test/support/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
