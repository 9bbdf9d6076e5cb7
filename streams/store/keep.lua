-- Says what is kept, only where that is still what it was worked out from.
-- KEYS: kept · ARGV: what was found there, or ''; what it becomes · Returns 1, or 0 when it is another by now.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
