-- Everybody who was heard of within the given time, by Redis' own clock.
-- KEYS: set of instances, since. ARGV: beginning of a record's key, ms after which silence is death, at most so many.
-- Reply: {ms since the set is whole or -1, id, ms since its last beat, what it is, how it does, id, ...}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local since = redis.call('GET', KEYS[2])
local reply = {since and string.format('%.0f', now - tonumber(since)) or '-1'}
local found = redis.call('ZRANGEBYSCORE', KEYS[1], now - tonumber(ARGV[2]), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for n = 1, #found, 2 do
  local record = redis.call('HMGET', ARGV[1] .. found[n], 'about', 'now')
  if record[1] and record[2] then
    reply[#reply + 1] = found[n]
    reply[#reply + 1] = string.format('%.0f', now - tonumber(found[n + 1]))
    reply[#reply + 1] = record[1]
    reply[#reply + 1] = record[2]
  end
end
return reply
