-- Sets the retained spans by compare-and-set.
-- KEYS: kept · ARGV: previous value or '', new value · Returns 1, or 0 if the value has changed.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
