import { existsSync } from 'node:fs'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** What playwright needs to know to start the Chromium of this machine, or the one that CHROMIUM names. @throws Error when there is none. */
export function findChromium(): { executablePath: string; args: string[] } {
  const executablePath = [process.env.CHROMIUM, ...PLACES].find((place) => place !== undefined && existsSync(place))
  if (executablePath === undefined) {
    throw new Error(
      `There is no Chromium at ${PLACES.join(', ')}: apt-get install chromium, or set CHROMIUM to where one is.`,
    )
  }
  // Root may not use the sandbox, and the pages are our own.
  return { executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] }
}
