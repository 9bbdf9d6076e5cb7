-- What became of an attempt: what arrived or is given up goes, what did not stays for later.
-- KEYS: turn, due, outbox
-- ARGV: failures in a row, nothing to this receiver before ms, how many go, their ids,
--       then for each that stays: id, JSON, due ms
redis.call('HSET', KEYS[1], 'failures', ARGV[1], 'blocked', ARGV[2])
local go = tonumber(ARGV[3])
for i = 4, 3 + go do
  redis.call('HDEL', KEYS[3], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
end
for i = 4 + go, #ARGV, 3 do
  if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i])
  end
end
return 1
