import { connect } from 'node:net'

/** Reads a server's address from the environment; undefined when it is not set. Rejects when nothing listens there. */
export async function urlFromEnvironment(variable: string, defaultPort: number): Promise<URL | undefined> {
  const value = process.env[variable]
  if (value === undefined || value === '') return undefined
  if (!URL.canParse(value)) throw new Error(`${variable} is no URL: expected one such as scheme://host:${defaultPort}`)
  const url = new URL(value)
  await reach(variable, url.hostname, Number(url.port) || defaultPort)
  return url
}

/** The refusal to do to somebody else's server what only a private one may suffer. */
export function refuseForEnvironment(what: string, variable: string, start: string): Error {
  return new Error(
    `Will not ${what} the server that ${variable} names, as it is not ours. Ask for a private one: ${start}({ own: true })`,
  )
}

function reach(variable: string, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host)
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer in 5 s')))
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', (cause) => {
      const remedy = `Start it, or unset ${variable} to have the tests start one`
      reject(
        new Error(`${variable} names ${host}:${port}, which does not answer: ${cause.message}. ${remedy}`, { cause }),
      )
    })
  })
}
