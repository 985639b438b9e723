-- Note that an instance lives, and forget those that have been silent for very long.
-- KEYS: set of instances, this instance's record, since, who is known (id -> role). ARGV: id, what it is, how it does,
-- ms a record is kept, ms of silence of everybody after which nobody can say who is missing, role.
--
-- `since`: from when on every instance that lives has had the time to register. It begins anew when the set was
-- lost (flushed, evicted) or nobody could write to it. Who was known before may have left meanwhile without being able
-- to say so, so it is forgotten then.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local newest = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if not newest[2] or tonumber(newest[2]) < now - tonumber(ARGV[5]) then
  redis.call('SET', KEYS[3], string.format('%.0f', now))
  redis.call('DEL', KEYS[4])
else
  redis.call('SET', KEYS[3], string.format('%.0f', now), 'NX')
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[6])
redis.call('HSET', KEYS[2], 'about', ARGV[2], 'now', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]))
return 1
