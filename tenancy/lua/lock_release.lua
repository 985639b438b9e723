-- Release the locks that are still this token's; leave the others alone.
-- KEYS: the lock keys. ARGV: token, ms a lock stays reserved for the first in line, ms a registration stays valid.
-- Reply: how many of the locks were still held with this token.
local token, reserved, fresh = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local released = 0

for _, key in ipairs(KEYS) do
  local lock = redis.call('HMGET', key, 'token', 'next', 'seen')
  if lock[1] == token then
    released = released + 1
    redis.call('DEL', key)
    if lock[2] and now - tonumber(lock[3]) <= fresh then
      redis.call('HSET', key, 'next', lock[2])
      redis.call('PEXPIRE', key, reserved)
    end
  end
end
return released
