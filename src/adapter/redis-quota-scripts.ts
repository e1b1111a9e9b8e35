/**
 * What redisquota asks Redis to do, atomically, in Lua. Times are microseconds of the caller's
 * clock, so that a script is a function of what it is given; whole numbers, which Lua keeps exactly
 * and would write with 14 digits if it were let.
 *
 * Both answer {granted, for how long}, and remember an answer under KEYS of its own, if there is
 * one, for as long as what was granted holds. Refusals are not remembered; they answer {0, 0, after
 * how long there will be enough}, 0: never.
 */
import type { RedisScript } from "../io/redis-scripts.ts";
import { redisScript } from "../io/redis-scripts.ts";

const begin = `
local limit, length, amount = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bestEffort, now = ARGV[4] == '1', tonumber(ARGV[5])

local function whole(n) return string.format('%.0f', n) end
local function number(value) return tonumber(value or 0) end
local function expireIn(key, span) redis.call('PEXPIRE', key, whole(math.max(1, span / 1000))) end

-- What was granted to the same id, while it holds.
local function remembered(key)
  if not key then return nil end
  local known = redis.call('HMGET', key, 'granted', 'until')
  if not known[1] or now >= number(known[2]) then return nil end
  return { number(known[1]), number(known[2]) - now }
end

local function remember(key, granted, span)
  if not key then return end
  redis.call('HSET', key, 'granted', whole(granted), 'until', whole(now + span))
  expireIn(key, span)
end

-- Not before so much of it is free.
local function refuse(wait)
  if amount > limit then wait = 0 end
  return { 0, 0, math.max(0, wait) }
end

local function grant(used)
  if used + amount <= limit then return amount end
  if bestEffort then return math.max(0, limit - used) end
  return 0
end
`;

/** KEYS: the window, the answer to remember. ARGV: limit, length, amount, best effort, now. */
export const fixedWindow: RedisScript = redisScript(`${begin}
local window, memory = KEYS[1], KEYS[2]
local before = remembered(memory)
if before then return before end

local known = redis.call('HMGET', window, 'used', 'until')
local used, ends = number(known[1]), number(known[2])
if now >= ends then used, ends = 0, now + length end

local granted = grant(used)
redis.call('HSET', window, 'used', whole(used + granted), 'until', whole(ends))
expireIn(window, ends - now)
if granted == 0 then return refuse(ends - now) end
remember(memory, granted, ends - now)
return { granted, ends - now }
`);

/**
 * KEYS: the current bucket and the sum of all, the full buckets by their start, the answer to
 * remember. ARGV: limit, length, amount, best effort, now, length of a bucket.
 */
export const rollingWindow: RedisScript = redisScript(`${begin}
local current, full, memory = KEYS[1], KEYS[2], KEYS[3]
local bucketLength = tonumber(ARGV[6])
local before = remembered(memory)
if before then return before end

local known = redis.call('HMGET', current, 'used', 'bucket', 'start')
local used, bucket, start = number(known[1]), number(known[2]), number(known[3] or now)
if now - start >= bucketLength then
  local entry = whole(start) .. ':' .. whole(bucket)
  if bucket > 0 then redis.call('ZADD', full, whole(start), entry) end
  bucket, start = 0, now
end

local gone = whole(now - length)
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', full, '-inf', gone)) do
  used = used - tonumber(string.match(entry, ':(%d+)$'))
end
redis.call('ZREMRANGEBYSCORE', full, '-inf', gone)

local granted = grant(used)
used, bucket = used + granted, bucket + granted
redis.call('HSET', current, 'used', whole(used), 'bucket', whole(bucket), 'start', whole(start))
expireIn(current, length + bucketLength)
expireIn(full, length + bucketLength)
if granted == 0 then
  local needed = used + math.max(1, bestEffort and 1 or amount) - limit
  for _, entry in ipairs(redis.call('ZRANGE', full, 0, -1)) do
    local began, spent = string.match(entry, '^(%d+):(%d+)$')
    needed = needed - tonumber(spent)
    if needed <= 0 then return refuse(tonumber(began) + length - now) end
  end
  return refuse(start + length - now)
end
remember(memory, granted, length)
return { granted, length }
`);
