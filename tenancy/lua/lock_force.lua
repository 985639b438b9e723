-- Open a lock by force, if it is still held by the lease that was looked at: whoever came after it keeps theirs.
-- KEYS: the lock key. ARGV: digest of the lease's token.
-- Reply: 1 opened | 0 nobody holds it, or somebody else.
local token = redis.call('HGET', KEYS[1], 'token')
if token and redis.sha1hex(token) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
