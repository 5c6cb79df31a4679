import { Command } from 'commander'
import { leastPrivilegeAcl } from '../../adapters/redis/acl.js'
import type { CommandFrame } from '../command-frame.js'
import { ConfigFileError } from '../config-file.js'
import { clientFacts } from '../doctor/redis-client.js'

export function aclCommand(frame: CommandFrame): Command {
  return new Command('acl')
    .description(
      "Prints the Redis user that may do what Corral needs in the config's namespace, and nothing else: as a command, and as a line of an ACL file. Asks no server.",
    )
    .option('--user <name>', 'what to call it', 'corral')
    .action(
      frame.action(async ({ inside: { redis, namespace } }, _, { user }) => {
        if (redis === undefined) throw new ConfigFileError('the config gives no `redis`: there is no user to describe')
        const { isCluster, keyPrefix, db } = clientFacts(redis)
        const acl = leastPrivilegeAcl({ user: String(user), namespace, isCluster, keyPrefix, db })
        const [reset = 'reset', on = 'on', ...rights] = acl.rules
        const words = [on, '><password>', ...rights].join(' ')
        const where = isCluster ? 'on every node' : 'on the server, and on its replicas'
        const lines = [
          `# ${where}: ACL SETUSER, then ACL SAVE where there is an ACL file`,
          `ACL SETUSER ${acl.user} ${reset} ${words}`,
          '# the same as a line of the ACL file',
          `user ${acl.user} ${words}`,
        ]
        return { json: acl, text: lines.join('\n') }
      }),
    )
}
