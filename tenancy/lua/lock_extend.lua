-- Extend every lock or none.
-- KEYS: the lock keys. ARGV: token, time to live in ms.
-- Reply: 0 extended | n: KEYS[n] is no longer this token's, nothing was changed.
for n, key in ipairs(KEYS) do
  if redis.call('HGET', key, 'token') ~= ARGV[1] then
    return n
  end
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[2])
end
return 0
