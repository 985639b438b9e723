-- Take every lock or none.
-- KEYS: the lock keys, sorted. ARGV: token, time to live in ms, holder's name, ms a registration stays valid,
-- ms waited so far.
-- Reply: {0} taken | {n, ms, first}: KEYS[n] is busy, for at most ms; first = 1 when this token is next in line.
--
-- A lock is a hash: token, holder, since; and of those who ask again and again the one token that waits
-- longest (next), since when (asked) and when it last asked (seen).
-- Without a token it is only the short reservation a release left for that first in line, so that the
-- process that released it cannot take it again before the others had their turn.
local token, ttl, holder, fresh = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local asked = now - tonumber(ARGV[5])
local busy, first

for n, key in ipairs(KEYS) do
  local lock = redis.call('HMGET', key, 'token', 'next', 'seen', 'asked')
  local held = lock[1] and lock[1] ~= token
  if held or (not lock[1] and lock[2] and lock[2] ~= token) then
    local line_up = held and (not lock[2] or lock[2] == token or now - tonumber(lock[3]) > fresh
      or asked < tonumber(lock[4]))
    if line_up then
      redis.call('HSET', key, 'next', token, 'seen', now, 'asked', asked)
    end
    if not busy then
      busy, first = n, line_up and 1 or 0
    end
  end
end
if busy then
  return {busy, redis.call('PTTL', KEYS[busy]), first}
end

for _, key in ipairs(KEYS) do
  redis.call('HSET', key, 'token', token, 'holder', holder, 'since', now)
  redis.call('HDEL', key, 'next', 'seen', 'asked')
  redis.call('PEXPIRE', key, ttl)
end
return {0}
