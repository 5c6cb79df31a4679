import { serverAccount } from './account.js'
import { findProgram, runCommand } from './command.js'
import type { Finding, Invocation } from './toolset.js'

let serial = 0

/**
 * The programs of a public image, run in containers that share this machine's network and the server's folder, so
 * that everything else is as with a local program. A reason instead of a toolset when no Docker engine answers.
 */
export async function dockerToolset(image: string, programs: readonly string[]): Promise<Finding> {
  if (findProgram('docker') === undefined) return { reason: 'no program `docker` in PATH' }
  try {
    await runCommand('docker', ['info', '--format', '{{.ServerVersion}}'])
  } catch (error) {
    return { reason: `Docker is here, but its engine does not answer: ${(error as Error).message}` }
  }
  try {
    await runCommand('docker', ['image', 'inspect', image]).catch(() =>
      runCommand('docker', ['pull', '--quiet', image]),
    )
  } catch (error) {
    return { reason: `Docker cannot get ${image}: ${(error as Error).message}` }
  }
  return {
    origin: 'docker',
    description: `Docker image ${image}`,
    has: (program) => programs.includes(program),
    invocation: (program, args, folder) => containerInvocation(image, program, args, folder),
  }
}

function containerInvocation(image: string, program: string, args: readonly string[], folder: string): Invocation {
  const container = `corral-test-${process.pid}-${++serial}`
  const place = ['--network', 'host', '--volume', `${folder}:${folder}`, '--workdir', folder]
  const command = ['--entrypoint', program, image, ...args]
  return {
    file: 'docker',
    args: ['run', '--rm', '--name', container, ...userOptions(program), ...place, ...command],
    env: { HOME: process.env.HOME, DOCKER_HOST: process.env.DOCKER_HOST },
    // The client needs the engine's socket; it is the container that runs without rights.
    account: undefined,
    container,
  }
}

/** On Linux the folder's owner, whose name initdb looks up; elsewhere Docker maps owners itself and the image's user will do. */
function userOptions(program: string): string[] {
  if (process.platform !== 'linux') return ['--user', program.startsWith('redis') ? 'redis' : 'postgres']
  const { uid, gid } = serverAccount() ?? { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  return ['--user', `${uid}:${gid}`, '--volume', '/etc/passwd:/etc/passwd:ro']
}
