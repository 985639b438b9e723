-- Who was known and fell silent without a farewell; whoever asks with `take` gets each of them, and nobody else does.
-- KEYS: set of instances, who is known (id -> role). ARGV: ms after which silence is death, 1 to take them.
-- Reply: {id, role, id, ...}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call('HGETALL', KEYS[2])
local reply = {}
for n = 1, #known, 2 do
  local beat = redis.call('ZSCORE', KEYS[1], known[n])
  if not beat or tonumber(beat) < now - tonumber(ARGV[1]) then
    reply[#reply + 1] = known[n]
    reply[#reply + 1] = known[n + 1]
    if ARGV[2] == '1' then
      redis.call('HDEL', KEYS[2], known[n])
    end
  end
end
return reply
