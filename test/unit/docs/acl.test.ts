import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { leastPrivilegeAcl } from '../../../src/adapters/redis/acl.js'

const page = (name: string) => readFileSync(new URL(`../../../docs/guides/${name}.md`, import.meta.url), 'utf8')
const rulesFor = (isCluster: boolean) => leastPrivilegeAcl({ user: 'corral', namespace: 'shop', isCluster })

it.each([
  ['one server', false],
  ['a cluster', true],
])('the guide to security lists the rights for %s as the source has them', (_, isCluster) => {
  const { user, rules } = rulesFor(isCluster)
  expect(page('security')).toContain(`ACL SETUSER ${user} ${rules.join(' ')} >PASSWORD`)
})

it('the Terraform example gives the same rights', () => {
  const { keys, channels, commands } = rulesFor(true)
  const [granted, reset] = [
    commands.map((command) => `+${command}`),
    ['resetchannels', ...channels.map((each) => `&${each}`)],
  ]
  const access = ['on', ...keys.map((pattern) => `~${pattern}`), ...reset, '-@all', ...granted].join(' ')
  expect(page('redis')).toContain(`access_string = "${access}"`)
})

it.each([
  ['a user with a blank', { user: 'a b' }],
  ['no user', { user: '' }],
  ['a namespace with braces', { namespace: '{shop}' }],
  ['a prefix with a blank', { keyPrefix: 'a b:' }],
])('%s is refused', (_, wrong) => {
  expect(() => leastPrivilegeAcl({ user: 'corral', namespace: 'shop', isCluster: false, ...wrong })).toThrow('expected')
})

it('what is a pattern in a key prefix is taken by the letter', () => {
  const { keys, channels } = leastPrivilegeAcl({
    user: 'corral',
    namespace: 'shop',
    isCluster: false,
    keyPrefix: 'a*[b]:',
  })
  expect(keys[0]).toBe('a\\*\\[b\\]:shop:{*')
  expect(channels).toEqual(['a\\*\\[b\\]:shop:bus'])
})

it('a numbered database has a channel of its own, and is chosen with SELECT', () => {
  const acl = leastPrivilegeAcl({ user: 'corral', namespace: 'shop', isCluster: false, db: 2 })
  expect(acl.channels).toEqual(['shop:bus:2'])
  expect(acl.commands).toContain('select')
  expect(rulesFor(false)).not.toContain('+select')
})
