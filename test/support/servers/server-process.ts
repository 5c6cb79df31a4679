import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findProgram, runCommand } from './command.js'
import { childrenOf, signalProcess, startOf } from './process-table.js'
import { rememberContainer, rememberProcess } from './remembered.js'
import type { Invocation } from './toolset.js'
import { waitUntil } from './wait.js'
import { rootFolder } from './workspace.js'

/** How a server is started and how it is asked to end. */
export interface LaunchOptions {
  readonly folder: string
  /** Both outputs of the server go to `<folder>/<name>.log`. */
  readonly name: string
  /** Ends the server promptly and tidily; also sent by the kernel when this process dies. */
  readonly endSignal: NodeJS.Signals
}

/** How long a server may take over `endSignal` before it is killed. */
const END_GRACE_MS = 5_000

/**
 * One running server with its worker processes. It never outlives this process: it is ended on a normal exit, by the
 * kernel when this process is killed outright (Linux), and by the next run's sweep everywhere else.
 */
export class ServerProcess {
  readonly pid: number
  readonly child: ChildProcess
  readonly #exited: Promise<void>
  readonly #log: string
  readonly #endSignal: NodeJS.Signals
  readonly #container: string | undefined
  #ending: string | undefined
  #frozen: readonly number[] = []

  private constructor(child: ChildProcess, invocation: Invocation, options: LaunchOptions) {
    this.child = child
    this.pid = child.pid ?? 0
    this.#log = logFile(options)
    this.#endSignal = options.endSignal
    this.#container = invocation.container
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#ending = signal === null ? `exit code ${code}` : signal
        resolve()
      })
      child.once('error', (cause) => {
        this.#ending = cause.message
        resolve()
      })
    })
  }

  /** Starts the server. Does not wait until it is ready; look at `ending` while you do. */
  static launch(invocation: Invocation, options: LaunchOptions): ServerProcess {
    const output = openSync(logFile(options), 'a')
    try {
      const { file, args, account } = bindToParent(invocation, options.endSignal)
      const child = spawn(file, args, {
        cwd: options.folder,
        env: { PATH: process.env.PATH, LC_ALL: 'C', ...invocation.env },
        stdio: ['ignore', output, output],
        ...account,
      })
      const server = new ServerProcess(child, invocation, options)
      if (child.pid !== undefined) rememberProcess(rootFolder(), child.pid, options.endSignal)
      if (invocation.container !== undefined) rememberContainer(rootFolder(), invocation.container)
      return server
    } finally {
      closeSync(output)
    }
  }

  /** How the server ended, with the end of its log; undefined while it runs. */
  get ending(): string | undefined {
    if (this.#ending === undefined) return undefined
    return `the server ended (${this.#ending}). Its log ends with:\n${readFileSync(this.#log, 'utf8').slice(-1500)}`
  }

  /** Stops every process of the server where it stands, without closing a socket, as a hung machine would. */
  async freeze(): Promise<void> {
    if (this.#container !== undefined) {
      await runCommand('docker', ['pause', this.#container])
      this.#frozen = [this.pid]
      return
    }
    // The parent first, so that no further child appears while the children are stopped.
    signalProcess(this.pid, 'SIGSTOP')
    const children = childrenOf(this.pid)
    for (const child of children) {
      rememberProcess(rootFolder(), child, this.#endSignal)
      signalProcess(child, 'SIGSTOP')
    }
    this.#frozen = [...children, this.pid]
  }

  /** Lets a frozen server go on where it stood. */
  async thaw(): Promise<void> {
    if (this.#frozen.length === 0) return
    if (this.#container !== undefined) await runCommand('docker', ['unpause', this.#container])
    else for (const pid of this.#frozen) signalProcess(pid, 'SIGCONT')
    this.#frozen = []
  }

  /** SIGKILLs the server and its workers, as the kernel's out-of-memory killer would; returns when all are gone. */
  async kill(): Promise<void> {
    if (this.#ending !== undefined) return
    const workers = childrenOf(this.pid)
    // The container may not be there yet, when a start is given up; its client goes next.
    if (this.#container !== undefined) await runCommand('docker', ['kill', this.#container]).catch(() => undefined)
    for (const pid of [this.pid, ...workers]) signalProcess(pid, 'SIGKILL')
    await this.#exited
    // A new postmaster refuses its data folder while an old worker still holds the shared memory.
    await waitUntil('workers of the killed server gone', 5_000, () =>
      workers.every((pid) => startOf(pid) === undefined),
    )
  }

  /** Ends the server with `signal`, or kills it when it takes too long. Ending an ended server is no error. */
  async end(signal: NodeJS.Signals = this.#endSignal): Promise<void> {
    if (this.#ending !== undefined) return
    await this.thaw()
    signalProcess(this.pid, signal)
    const late = new AbortController()
    const grace = sleep(END_GRACE_MS, 'late', { signal: late.signal }).catch(() => undefined)
    const outcome = await Promise.race([this.#exited, grace])
    late.abort()
    if (outcome === 'late') await this.kill()
  }
}

function logFile({ folder, name }: LaunchOptions): string {
  return join(folder, `${name}.log`)
}

/**
 * Puts setpriv (util-linux) in front where it is there: the kernel then sends `signal` to the server when we die, also
 * when we are SIGKILLed. It drops root's rights in the same step, because a change of account would reset that wish.
 */
function bindToParent(invocation: Invocation, signal: NodeJS.Signals): Invocation {
  const { file, args, account } = invocation
  const setpriv = process.platform === 'linux' ? findProgram('setpriv', ['/usr/bin']) : undefined
  if (setpriv === undefined || !canBindToParent(setpriv)) return invocation
  const drop = account === undefined ? [] : [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups']
  const bound = [...drop, `--pdeathsig=${signal.replace('SIG', '')}`, '--', file, ...args]
  return { file: setpriv, args: bound, env: invocation.env, container: invocation.container, account: undefined }
}

let bindable: boolean | undefined
/** Busybox has a setpriv too, which cannot do this. */
function canBindToParent(setpriv: string): boolean {
  bindable ??= execFileSync(setpriv, ['--help'], { encoding: 'utf8' }).includes('--pdeathsig')
  return bindable
}
