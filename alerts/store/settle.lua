-- Records the outcome of an attempt: removes finished notices, updates those to retry, and releases the claim.
-- KEYS: turn, due, outbox
-- ARGV: owner, consecutive failures, earliest next attempt (ms), number of finished ids, those ids,
--       then for each notice to retry: id, JSON, due ms
redis.call('HSET', KEYS[1], 'failures', ARGV[2], 'blocked', ARGV[3])
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('HSET', KEYS[1], 'until', '0') end
local finished = tonumber(ARGV[4])
for i = 5, 4 + finished do
  redis.call('HDEL', KEYS[3], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
end
for i = 5 + finished, #ARGV, 3 do
  if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i])
  end
end
return 1
