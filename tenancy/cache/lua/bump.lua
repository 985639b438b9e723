-- Give tags a new version, so that entries under them are out of date, and tell every instance.
-- KEYS: tags... ARGV: position of the commit, ms a tag lives, channel, message, token.
local now = redis.call('TIME')
for n, key in ipairs(KEYS) do
  local position = math.max(tonumber(redis.call('HGET', key, 'p') or '0') or 0, tonumber(ARGV[1]))
  redis.call('HSET', key, 'v', now[1] .. '.' .. now[2] .. '.' .. ARGV[5], 'p', string.format('%.0f', position))
  redis.call('PEXPIRE', key, ARGV[2])
end
return redis.call('PUBLISH', ARGV[3], ARGV[4])
