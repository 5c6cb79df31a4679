import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Request {
  /** What stands in the place of `:name` in the route. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: Readonly<Record<string, unknown>>
  readonly cookies: Readonly<Record<string, string>>
  readonly headers: IncomingMessage['headers']
}

export interface Answer {
  readonly status?: number
  readonly body?: unknown
  readonly cookies?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
}

export type Routes = Readonly<Record<string, (request: Request) => Promise<Answer>>>

/** Routes such as `POST /items/:id/reserve`, over plain node:http. Bodies are JSON, in both directions. */
export async function serve(routes: Routes, port: number): Promise<{ readonly url: string; close(): Promise<void> }> {
  const table = Object.entries(routes).map(([route, handle]) => {
    const [method, path = ''] = route.split(' ')
    return { method, parts: path.split('/'), handle }
  })
  const server = createServer(async (incoming, response) => {
    const url = new URL(incoming.url ?? '/', 'http://localhost')
    const parts = url.pathname.split('/')
    const route = table.find(
      (each) =>
        each.method === incoming.method &&
        each.parts.length === parts.length &&
        each.parts.every((part, at) => part.startsWith(':') || part === parts[at]),
    )
    try {
      if (route === undefined) return void response.writeHead(404).end()
      const params = route.parts.flatMap((part, at) =>
        part.startsWith(':') ? [[part.slice(1), decodeURIComponent(parts[at] as string)] as const] : [],
      )
      const answer = await route.handle({
        params: Object.fromEntries(params),
        query: url.searchParams,
        body: await bodyOf(incoming),
        cookies: cookiesOf(incoming),
        headers: incoming.headers,
      })
      const cookies = Object.entries(answer.cookies ?? {}).map(([name, value]) => `${name}=${value}; Path=/; HttpOnly`)
      const headers = { 'content-type': 'application/json', ...answer.headers }
      response.writeHead(answer.status ?? 200, cookies.length > 0 ? { ...headers, 'set-cookie': cookies } : headers)
      response.end(JSON.stringify(answer.body ?? null))
    } catch (error) {
      console.error(error)
      response.writeHead(500).end()
    }
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

function cookiesOf({ headers }: IncomingMessage): Record<string, string> {
  const pairs = (headers.cookie ?? '').split('; ').filter((pair) => pair.includes('='))
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))
}
