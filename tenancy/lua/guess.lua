-- Failed credentials: look at, or charge, every limiter, each for itself.
-- KEYS: the limiters. ARGV: 1 = a failure happened; then per limiter: allowed, window in ms.
-- Reply: ms until another attempt may be made; 0 = now.
local failed, wait = ARGV[1] == '1', 0
for i, key in ipairs(KEYS) do
  local w = look(key, tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]))
  wait = math.max(wait, delay(w))
  if failed then
    take(w)
  end
end
return wait
