-- Sliding windows: a hash per limiter with the slot, its count and the count of the slot before. The
-- previous slot weighs in by the part of it that a window ending now still covers.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function look(key, allowed, window)
  local slot = math.floor(now / window)
  local kept = redis.call('HMGET', key, 'slot', 'count', 'before')
  local w = {key = key, allowed = allowed, window = window, slot = slot, count = 0, before = 0}
  w.elapsed = now - slot * window
  w.fresh = tonumber(kept[1]) == slot
  if w.fresh then
    w.count, w.before = tonumber(kept[2]), tonumber(kept[3])
  elseif tonumber(kept[1]) == slot - 1 then
    w.before = tonumber(kept[2])
  end
  w.used = w.count + w.before * (window - w.elapsed) / window
  return w
end

-- Milliseconds until one more fits; 0 = now.
local function delay(w)
  if w.used + 1 <= w.allowed then
    return 0
  elseif w.allowed < 1 then
    return w.window
  elseif w.count + 1 <= w.allowed then
    return math.ceil(w.window * (1 - (w.allowed - 1 - w.count) / w.before) - w.elapsed)
  end
  return math.ceil(w.window - w.elapsed + w.window * (1 - (w.allowed - 1) / w.count))
end

local function take(w)
  if w.fresh then
    redis.call('HINCRBY', w.key, 'count', 1)
  else
    redis.call('HSET', w.key, 'slot', w.slot, 'count', 1, 'before', w.before)
    redis.call('PEXPIRE', w.key, 2 * w.window - w.elapsed)
  end
end
