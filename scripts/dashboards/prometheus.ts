import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, runCommand } from '../../test/support/servers/command.js'
import { cachedDownload } from '../../test/support/servers/download-cache.js'
import { freePort } from '../../test/support/servers/free-port.js'
import { waitUntil } from '../../test/support/servers/wait.js'

/** The programs of a Prometheus. */
export interface PrometheusTools {
  readonly prometheus: string
  readonly promtool: string
}

/** One series that a query has found: its labels and its value now. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Those in PATH, or else those of the machine's Debian package, unpacked without being installed. */
export async function findPrometheus(): Promise<PrometheusTools> {
  const [prometheus, promtool] = [findProgram('prometheus'), findProgram('promtool')]
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool }
  const folder = await cachedDownload(`prometheus-${process.arch}`, async (target) => {
    await runCommand('apt-get', ['download', 'prometheus'], { cwd: target })
    await runCommand('sh', ['-c', 'dpkg -x prometheus_*.deb . && rm prometheus_*.deb'], { cwd: target })
  }).catch((cause) => {
    throw new Error('no programs `prometheus` and `promtool` in PATH, and apt-get could not download them', { cause })
  })
  const bin = join(folder, 'usr', 'bin')
  return { prometheus: join(bin, 'prometheus'), promtool: join(bin, 'promtool') }
}

/** A Prometheus of its own that scrapes these ports each second. */
export class Prometheus {
  readonly #process: ChildProcess
  readonly #folder: string
  readonly url: string

  static async start({ prometheus }: PrometheusTools, ports: readonly number[]): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'corral-prometheus-'))
    mkdirSync(join(folder, 'data'))
    const targets = ports.map((port) => `127.0.0.1:${port}`)
    const scrape = { job_name: 'shop', static_configs: [{ targets }] }
    // JSON is YAML.
    const config = { global: { scrape_interval: '1s' }, scrape_configs: [scrape] }
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config))
    const port = await freePort()
    const started = new Prometheus(prometheus, folder, port)
    await waitUntil('Prometheus is ready', 20_000, () => started.#isReady())
    return started
  }

  private constructor(program: string, folder: string, port: number) {
    this.#folder = folder
    this.url = `http://127.0.0.1:${port}`
    const options = {
      'config.file': join(folder, 'prometheus.yml'),
      'storage.tsdb.path': join(folder, 'data'),
      'web.listen-address': `127.0.0.1:${port}`,
      'log.level': 'error',
    }
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
    this.#process = spawn(program, args, { stdio: 'inherit' })
    process.once('exit', () => this.#process.kill('SIGKILL'))
  }

  /** What a query finds now. @throws Error with what Prometheus says of a query it does not understand. */
  async query(expression: string): Promise<Sample[]> {
    const answer = await this.#get<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
      `/api/v1/query?query=${encodeURIComponent(expression)}`,
    )
    return answer.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
  }

  async metricNames(): Promise<ReadonlySet<string>> {
    return new Set(await this.#get<string[]>('/api/v1/label/__name__/values'))
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill()
    await ended
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #isReady(): Promise<boolean> {
    return fetch(`${this.url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  }

  async #get<Data>(path: string): Promise<Data> {
    const response = await fetch(`${this.url}${path}`)
    const { status, data, error } = (await response.json()) as { status: string; data: Data; error?: string }
    if (status !== 'success') throw new Error(error)
    return data
  }
}
