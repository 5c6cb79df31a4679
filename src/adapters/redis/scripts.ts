import { type FenceOutcome, LEASE_KEEP_MS } from '../../core/ports.js'
import { SEEN_BYTES, WIRE } from '../../core/wire.js'

/** So many values come with each key of a fence. */
const FENCE_VALUES = 6
/** What became of an entry, as a fence replies it. */
export const FENCE_OUTCOMES: Readonly<Record<string, FenceOutcome>> = {
  ...{ a: 'absent', d: 'dropped', k: 'kept', r: 'replaced' },
}
/** Digits of a time in a reply. */
export const TIME_DIGITS = 13

/**
 * The changes of the protocol as Lua: lease, fill, release, fence, mark. Each runs on one slot, but for fences where there are no slots.
 * Its keys are the entry (a string, see core/wire.ts), its guard, or both, and none that it does not need: a slot that moves is on two nodes
 * meanwhile, and only a script of one key can run then. The guard is a short-lived hash:
 *
 * | field | holds |
 * | --- | --- |
 * | `f`  | fence: the highest version invalidated up to, 20 digits |
 * | `x`  | fences of writers a version cannot order: their transaction ids, 20 digits each, newest last |
 * | `xh` | the highest transaction id that no longer fitted into `x` |
 * | `u`  | the highest transaction id of a fence without a version; all nines when not even that was known |
 * | `fe` | the store time at which all of these are forgotten; a lease may keep the hash for longer |
 * | `l`, `le`, `ls` | lease: its token, the store time after which another process may take it over, and the one at which it began |
 * | `ft`, `fc` | failure: the token whose load failed, and the code of the failure |
 *
 * Stamps and transaction ids are decimal strings padded to 20 digits, so that string order is number order. They never
 * become Lua numbers: a double loses the last digits of a large one.
 *
 * Losing the entry, the guard or both to eviction is safe: a fill needs its token to be *present*, so a lost guard
 * refuses it, and an entry that is gone is only a miss.
 */
const PRELUDE = `
local function nowMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function digits(ms) return string.format('%0${TIME_DIGITS}.0f', ms) end
local function bytesOf(key, first, last)
  local bytes = redis.pcall('GETRANGE', key, first, last)
  if type(bytes) == 'table' then redis.call('DEL', key) return '' end
  return bytes
end
local function guardFields(key, ...)
  local fields = redis.pcall('HMGET', key, ...)
  if fields.err then redis.call('DEL', key) return {} end
  return fields
end
local function guardOf(key, now)
  local guard = guardFields(key, 'f', 'x', 'xh', 'fe', 'u', 'l', 'ft')
  guard.isThere = guard[1] or guard[2] or guard[3] or guard[4] or guard[5] or guard[6] or guard[7]
  if (tonumber(guard[4]) or now) < now then
    redis.call('HDEL', key, 'f', 'x', 'xh', 'fe', 'u')
    for field = 1, 5 do guard[field] = false end
  end
  return guard
end
local function keepGuard(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end
local function storedVersion(header)
  local version = string.sub(header, ${WIRE.version.at + 1}, ${WIRE.version.at + WIRE.version.width})
  if #version == ${WIRE.version.width} and string.find(version, '^%d+$') then return version end
end
`

/**
 * LEASE entry guard | token leaseMs seen waitedFor
 *
 * Replies {outcome, now, ...}: `leased`; `held` token remainingMs heldForMs; `changed` bytes; `failed` code.
 * A lease that ran out is not revoked by time: its holder may still fill until somebody takes it over.
 */
const LEASE = `${PRELUDE}
local now = nowMs()
if bytesOf(KEYS[1], 0, ${SEEN_BYTES - 1}) ~= ARGV[3] then
  return {'changed', digits(now), redis.call('GET', KEYS[1])}
end
local guard = guardFields(KEYS[2], 'l', 'le', 'ft', 'fc', 'ls')
if ARGV[4] ~= '' and guard[3] == ARGV[4] then return {'failed', digits(now), guard[4]} end
if guard[1] and (tonumber(guard[2]) or 0) > now then
  return {'held', digits(now), guard[1], tostring(tonumber(guard[2]) - now), tostring(now - (tonumber(guard[5]) or now))}
end
redis.call('HSET', KEYS[2], 'l', ARGV[1], 'le', digits(now + ARGV[2]), 'ls', digits(now))
keepGuard(KEYS[2], math.max(4 * ARGV[2], ${LEASE_KEEP_MS}))
return {'leased', digits(now)}
`

/**
 * FILL entry guard | token sealed version keepMs standby xmin replacesNewer untilMs
 *
 * Replies {outcome, now}. The token decides first: it proves that no fence arrived since the lease was granted, and so,
 * for a load from the primary that began after it, that no committed write was missed. The fences decide for what the
 * token cannot know: a standby that lags behind the writes that were fenced before the lease. There, only a writer
 * below the snapshot's `xmin` is surely visible: a standby's snapshot does not list the transactions in progress. And
 * only until `untilMs` can be relied on that those fences are still remembered. What is refused there keeps its lease: the
 * primary is asked under it.
 */
const FILL = `${PRELUDE}
local now = nowMs()
if guardFields(KEYS[2], 'l')[1] ~= ARGV[1] then return {'lease-lost', digits(now)} end
local standby = ARGV[5] == '1'
if not standby then redis.call('HDEL', KEYS[2], 'l', 'le', 'ls') end
local fence = guardOf(KEYS[2], now)
local version = ARGV[3]
if version ~= '' and fence[1] and version < fence[1] then return {'fenced', digits(now)} end
if standby then
  local xmin, xids, lost = ARGV[6], fence[2], fence[3]
  if ARGV[8] ~= '' and now > tonumber(ARGV[8]) then return {'fenced', digits(now)} end
  if fence[5] and fence[5] >= xmin then return {'fenced', digits(now)} end
  if version == '' then
    if fence[1] and not xids and not lost then return {'fenced', digits(now)} end
    if lost and lost >= xmin then return {'fenced', digits(now)} end
    for xid in string.gmatch(xids or '', '%d+') do
      if xid >= xmin then return {'fenced', digits(now)} end
    end
  end
end
if ARGV[7] ~= '1' and version ~= '' then
  local stored = storedVersion(bytesOf(KEYS[1], 0, ${WIRE.body - 1}))
  if stored and stored > version then return {'older', digits(now)} end
end
if standby then redis.call('HDEL', KEYS[2], 'l', 'le', 'ls') end
redis.call('SET', KEYS[1], '${WIRE.magic}' .. digits(now) .. ARGV[2], 'PX', ARGV[4])
return {'filled', digits(now)}
`

/** RELEASE guard | token failure keepMs */
const RELEASE = `${PRELUDE}
if guardFields(KEYS[1], 'l')[1] ~= ARGV[1] then return {'lost', digits(nowMs())} end
redis.call('HDEL', KEYS[1], 'l', 'le', 'ls')
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'ft', ARGV[1], 'fc', ARGV[2])
  keepGuard(KEYS[1], tonumber(ARGV[3]))
end
return {'released', digits(nowMs())}
`

/**
 * Remembers a fence in the guard, with one HSET. Takes the guard's fields as `guardOf` found them, and says whether anything was written.
 *
 * A script spends its time in calls, some microseconds each. So none is made whose answer is known from another one.
 *
 * A server that is full and may not evict stores nothing, unless the script has written already: one that deletes, if only what is not there,
 * may go on. Where there is an entry or a guard, a fence has to arrive, and what it stores is small and short-lived.
 */
const REMEMBER = `
local function remember(key, guard, now, version, xid, keepMs, always, isThere)
  if version == '' and xid == '' and always ~= '1' then return false end
  local changes = {}
  local function set(field, value) changes[#changes + 1] = field changes[#changes + 1] = value end
  if version ~= '' and not (guard[1] and guard[1] >= version) then set('f', version) end
  if xid ~= '' and not string.find(guard[2] or '', xid, 1, true) then
    local xids = (guard[2] or '') .. xid .. ' '
    if #xids > 16 * 21 then
      local dropped = string.sub(xids, 1, 20)
      if not guard[3] or guard[3] < dropped then set('xh', dropped) end
      xids = string.sub(xids, 22)
    end
    set('x', xids)
  end
  if version == '' and always == '1' then
    local unordered = xid ~= '' and xid or string.rep('9', 20)
    if not guard[5] or guard[5] < unordered then set('u', unordered) end
  end
  set('fe', digits(math.max(tonumber(guard[4]) or 0, now + keepMs)))
  if type(redis.pcall('HSET', key, unpack(changes))) == 'table' then
    if isThere then redis.call('HDEL', key, '') end
    redis.call('HSET', key, unpack(changes))
  end
  keepGuard(key, tonumber(keepMs))
  return true
end
`

/**
 * FENCE (entry guard)… | (version xid keepMs rememberAlways replacement replacementKeepMs)…
 *
 * Replies with one text: the time, and a letter of each outcome (`FENCE_OUTCOMES`). Merged by maximum, so that fences may arrive twice, late and in any order. An entry that is
 * at least as new as the fence stays, and so does a fill in flight beside it: both were read after the write.
 *
 * On a single server one script fences several keys: a write makes a row and some marks old, and to run a script costs more than what it does.
 */
export const FENCE = `${PRELUDE}${REMEMBER}
local now = nowMs()
local hasWritten = false
local function fenced(entry, guardKey, version, xid, keepMs, always, replacement, replacementKeepMs)
  local header = bytesOf(entry, 0, ${WIRE.body - 1})
  local guard = guardOf(guardKey, now)
  if header == '' and always ~= '1' and not guard.isThere then return 'a' end
  local isThere = header ~= '' or guard.isThere
  if remember(guardKey, guard, now, version, xid, keepMs, always, isThere) then hasWritten = true end
  local stored = storedVersion(header)
  local isRow = string.sub(header, ${WIRE.kind.at + 1}, ${WIRE.kind.at + 1}) == 'r'
  if version ~= '' and isRow and stored and stored >= version then return 'k' end
  if guard[6] then redis.call('HDEL', guardKey, 'l', 'le', 'ls') hasWritten = true end
  if replacement ~= '' and isRow and stored and stored < version then
    redis.call('SET', entry, '${WIRE.magic}' .. digits(now) .. replacement, 'PX', replacementKeepMs)
    hasWritten = true
    return 'r'
  end
  if header ~= '' then redis.call('DEL', entry) hasWritten = true end
  return 'd'
end
local reply = {digits(now)}
local function valueOf(at, value) return ARGV[${FENCE_VALUES} * at + value] end
local function mayBeAbsent(at) return valueOf(at, 1) == '' and valueOf(at, 4) ~= '1' end
local at, last = 0, #KEYS / 2 - 1
while at <= last do
  -- Of most marks and lookups that a write makes old nothing is there: those that follow each other are asked for at once.
  local run = at
  while run <= last and mayBeAbsent(run) do run = run + 1 end
  if run > at and redis.call('EXISTS', unpack(KEYS, 2 * at + 1, 2 * run)) == 0 then
    for absent = at, run - 1 do reply[absent + 2] = 'a' end
    at = run
  else
    for one = at, math.max(at, run - 1) do
      reply[one + 2] = fenced(KEYS[2 * one + 1], KEYS[2 * one + 2], unpack(ARGV, ${FENCE_VALUES} * one + 1, ${FENCE_VALUES} * (one + 1)))
    end
    at = math.max(at + 1, run)
  end
end
-- Deletes nothing, and is refused where nothing may be written: that a replica does not hold a key says nothing about its primary.
if not hasWritten then redis.call('DEL', KEYS[1]) end
return table.concat(reply)
`

/**
 * FENCE_GUARD guard | version xid keepMs rememberAlways
 *
 * The half of a fence that is about the guard: revokes the lease whatever it was granted for, and remembers. Replies {`dropped`, now}, or
 * {`absent`, now} where no guard is and none has to be.
 */
const FENCE_GUARD = `${PRELUDE}${REMEMBER}
local now = nowMs()
local guard = guardOf(KEYS[1], now)
if ARGV[4] ~= '1' and not guard.isThere then
  -- As in FENCE: is refused where nothing may be written.
  redis.call('DEL', KEYS[1])
  return {'absent', digits(now)}
end
remember(KEYS[1], guard, now, ARGV[1], ARGV[2], ARGV[3], ARGV[4], guard.isThere)
redis.call('HDEL', KEYS[1], 'l', 'le', 'ls')
return {'dropped', digits(now)}
`

/** MARK mark | fresh keepMs. Replies {mark, now}. Keeps what is there and its lifetime at least as long. */
const MARK = `${PRELUDE}
local mark = bytesOf(KEYS[1], 0, -1)
if mark == '' then
  mark = ARGV[1]
  redis.call('SET', KEYS[1], mark, 'PX', ARGV[2])
elseif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {mark, digits(nowMs())}
`

/** INSPECT entry guard. Replies {entry, now, remainingMs, fence, lease token, lease until, failure code}; empty where there is none. */
const INSPECT = `${PRELUDE}
local entry = bytesOf(KEYS[1], 0, -1)
local now = nowMs()
local fence = guardOf(KEYS[2], now)
local guard = guardFields(KEYS[2], 'l', 'le', 'fc')
local remaining = redis.call('PTTL', KEYS[1])
return {entry, digits(now), tostring(remaining), fence[1] or '', guard[1] or '', guard[2] or '', guard[3] or ''}
`

/** The scripts, but for fences, under the names by which they are defined on Corral's own connections. ioredis sends EVALSHA, and EVAL where a node does not know a script yet. */
export const SCRIPTS = {
  corralLease: { numberOfKeys: 2, lua: LEASE },
  corralFill: { numberOfKeys: 2, lua: FILL },
  corralRelease: { numberOfKeys: 1, lua: RELEASE },
  corralMark: { numberOfKeys: 1, lua: MARK },
  corralInspect: { numberOfKeys: 2, lua: INSPECT },
  corralFenceGuard: { numberOfKeys: 1, lua: FENCE_GUARD },
} as const

export type ScriptName = keyof typeof SCRIPTS
