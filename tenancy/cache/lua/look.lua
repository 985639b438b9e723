-- Look an entry up and learn what a fill must not be older than.
-- KEYS: entry, lead, tags... ARGV: token of the asker, ms a lead lasts, ms a tag lives.
-- Reply: {1, versions, position, value, covered, seen} | {0, versions, position, leads}: leads = 1 when this asker
-- is to fill it.
--
-- An entry names the versions its tags had; any other version now means it is out of date. A tag that is not
-- there (evicted, flushed) gets a version no entry can know.
local now = redis.call('TIME')
local versions, position = {}, 0
for n = 3, #KEYS do
  local tag = redis.call('HMGET', KEYS[n], 'v', 'p')
  if not tag[1] then
    tag[1] = now[1] .. '.' .. now[2]
    redis.call('HSET', KEYS[n], 'v', tag[1], 'p', 0)
    redis.call('PEXPIRE', KEYS[n], ARGV[3])
  end
  versions[#versions + 1] = tag[1]
  position = math.max(position, tonumber(tag[2]) or 0)
end
local current = table.concat(versions, ',')
local entry = redis.call('HMGET', KEYS[1], 'd', 'v', 'c', 's')
if entry[1] and entry[2] == current then
  return {1, current, string.format('%.0f', position), entry[1], entry[3], entry[4]}
end
local leads = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
return {0, current, string.format('%.0f', position), leads}
