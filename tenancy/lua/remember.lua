-- Finish writes: count them out of the slot they were begun in and keep the highest position.
-- KEYS: the callers' writes, one entry per write. ARGV per entry: slot or '' (begun while Redis was away),
-- position or '' (nothing was committed).
for n, key in ipairs(KEYS) do
  local slot, position = ARGV[2 * n - 1], ARGV[2 * n]
  if slot ~= '' then
    local pending = tonumber(redis.call('HGET', key, 'w' .. slot) or 0)
    if pending > 1 then
      redis.call('HINCRBY', key, 'w' .. slot, -1)
    elseif pending == 1 then
      redis.call('HDEL', key, 'w' .. slot)
    end
  end
  if position ~= '' then
    local kept = redis.call('HGET', key, 'position')
    if not kept or tonumber(position) > tonumber(kept) then
      redis.call('HSET', key, 'position', position)
    end
    redis.call('PEXPIRE', key, 60000)
  end
end
return #KEYS
