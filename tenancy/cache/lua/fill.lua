-- Store what was loaded, unless a tag changed since it was looked up: then it may be from before the change.
-- KEYS: entry, lead, tags... ARGV: value, ms to live, versions as looked up, covered, seen, token of the asker,
-- names of the tags (for instances that warm up).
-- Reply: 1 stored | 0 refused.
local versions = {}
for n = 3, #KEYS do
  versions[#versions + 1] = redis.call('HGET', KEYS[n], 'v') or ''
end
if redis.call('GET', KEYS[2]) == ARGV[6] then
  redis.call('DEL', KEYS[2])
end
if table.concat(versions, ',') ~= ARGV[3] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'd', ARGV[1], 'v', ARGV[3], 'c', ARGV[4], 's', ARGV[5], 't', ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
