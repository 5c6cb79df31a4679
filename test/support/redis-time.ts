/**
 * Lets time pass for what the real server holds: it moves what is written down there closer, which to whoever asks is the same as the
 * clock's going on. KEYS: any; ARGV: by how many milliseconds.
 */
const PASS = `
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[1]) then
    redis.call('DEL', key)
  elseif left >= 0 then
    redis.call('PEXPIRE', key, left - ARGV[1])
    if redis.call('TYPE', key).ok == 'hash' then
      for _, field in ipairs({'le', 'ls', 'fe'}) do
        local at = redis.call('HGET', key, field)
        if at then redis.call('HSET', key, field, string.format('%013.0f', at - ARGV[1])) end
      end
    end
  end
end
`

interface Client {
  eval(script: string, keyCount: number, ...values: (string | number)[]): Promise<unknown>
}

/** @param keys on a cluster of one slot. */
export async function passTime(client: Client, keys: readonly string[], ms: number): Promise<void> {
  await client.eval(PASS, keys.length, ...keys, ms)
}
