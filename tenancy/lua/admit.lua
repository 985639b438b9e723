-- Admit one request: every limit has room and each is charged, or none is.
-- KEYS: the epoch, then (for a known caller) the tenant's credential version and the caller's writes, then the limits.
-- ARGV: 1 = the caller is about to write; 1 = a known caller; then per limit: allowed, window in ms.
-- Reply: {refusing limit's number or 0, tightest limit's number, its remaining, ms to the end of its window,
--   ms to wait, epoch in microseconds, now in ms, credential version, write slot, writes pending, position of the last write}
--
-- A caller's writes are a hash: `position` of the last one finished, and per slot of 30 s (w<slot>) how many
-- begun in it are unfinished. Slots older than the last three are leftovers of crashed processes.
local writing, known = ARGV[1] == '1', ARGV[2] == '1'
local first = known and 4 or 2
local refused, wait, tightest, room = 0, 0, 0, nil
local windows = {}

for n = first, #KEYS do
  local i = n - first + 1
  local w = look(KEYS[n], tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2]))
  windows[i] = w
  local ms = delay(w)
  if ms > wait then
    refused, wait = i, ms
  end
  local left = w.allowed - w.used
  if not room or left < room then
    tightest, room = i, left
  end
end

local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = string.format('%.0f', time[1] * 1000000 + time[2])
  redis.call('SET', KEYS[1], epoch)
end
if refused > 0 then
  local w = windows[refused]
  return {refused, refused, 0, w.window - w.elapsed, wait, epoch, now, false, 0, 0, false}
end
for _, w in ipairs(windows) do
  take(w)
end
local remaining, reset = 0, 0
if tightest > 0 then
  remaining = math.max(0, math.floor(room - 1))
  reset = windows[tightest].window - windows[tightest].elapsed
end
if not known then
  return {0, tightest, remaining, reset, 0, epoch, now, false, 0, 0, false}
end

local version = redis.call('GET', KEYS[2])
local slot = math.floor(now / 30000)
if writing then
  redis.call('HINCRBY', KEYS[3], 'w' .. slot, 1)
  redis.call('HDEL', KEYS[3], 'w' .. slot - 4, 'w' .. slot - 5)
  redis.call('PEXPIRE', KEYS[3], 60000)
  return {0, tightest, remaining, reset, 0, epoch, now, version, slot, 1, false}
end
local writes = redis.call('HMGET', KEYS[3], 'position', 'w' .. slot, 'w' .. slot - 1, 'w' .. slot - 2)
local pending = (tonumber(writes[2]) or 0) + (tonumber(writes[3]) or 0) + (tonumber(writes[4]) or 0)
return {0, tightest, remaining, reset, 0, epoch, now, version, slot, pending, writes[1]}
