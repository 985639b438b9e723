-- Whose turn it is, across all who choose: the first behind the one chosen last, whoever has come or gone meanwhile.
-- KEYS: the one chosen last. ARGV: seconds after which it is forgotten, ids in order.
local last = redis.call('GET', KEYS[1]) or ''
local chosen = ARGV[2]
for n = 2, #ARGV do
  if ARGV[n] > last then
    chosen = ARGV[n]
    break
  end
end
redis.call('SET', KEYS[1], chosen, 'EX', ARGV[1])
return chosen
