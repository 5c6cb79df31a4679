import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** A server's certificate for localhost by an authority made for it, and an authority that nobody trusts. Needs openssl. */
export class Certificates {
  readonly #folder = mkdtempSync(join(tmpdir(), 'corral-tls-'))

  constructor() {
    for (const name of ['ca', 'stranger']) this.#authority(name)
    const server = ['-keyout', this.file('server.key'), '-out', this.file('server.csr')]
    openssl('req', '-new', ...KEY, '-subj', '/CN=localhost', ...server)
    writeFileSync(this.file('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1')
    const by = ['-CA', this.file('ca.crt'), '-CAkey', this.file('ca.key'), '-CAcreateserial']
    const files = ['-in', this.file('server.csr'), '-extfile', this.file('names'), '-out', this.file('server.crt')]
    openssl('x509', '-req', ...by, ...files, '-days', '2')
    // The servers run under another user.
    chmodSync(this.#folder, 0o755)
    for (const name of ['server.key', 'server.crt', 'ca.crt']) chmodSync(this.file(name), 0o644)
  }

  file(name: string): string {
    return join(this.#folder, name)
  }

  /** Of the authority that has signed the server's. */
  get ca(): Buffer {
    return readFileSync(this.file('ca.crt'))
  }

  get stranger(): Buffer {
    return readFileSync(this.file('stranger.crt'))
  }

  /** Settings of a Redis that has this certificate; where it listens is another one, `tls-port`. */
  redisSettings(): Record<string, string> {
    return {
      'tls-cert-file': this.file('server.crt'),
      'tls-key-file': this.file('server.key'),
      'tls-ca-cert-file': this.file('ca.crt'),
      'tls-auth-clients': 'no',
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #authority(name: string): void {
    const files = ['-keyout', this.file(`${name}.key`), '-out', this.file(`${name}.crt`)]
    openssl('req', '-x509', ...KEY, '-days', '2', '-subj', `/CN=${name}`, ...files)
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' })
}
