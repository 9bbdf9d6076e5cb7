-- What became of an attempt: what arrived or is given up goes, what did not stays for later. The turn is free again,
-- so that nobody has to wait for the end of its lease when this process dies.
-- KEYS: turn, due, outbox
-- ARGV: owner, failures in a row, nothing to this receiver before ms, how many go, their ids,
--       then for each that stays: id, JSON, due ms
redis.call('HSET', KEYS[1], 'failures', ARGV[2], 'blocked', ARGV[3])
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('HSET', KEYS[1], 'until', '0') end
local go = tonumber(ARGV[4])
for i = 5, 4 + go do
  redis.call('HDEL', KEYS[3], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
end
for i = 5 + go, #ARGV, 3 do
  if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i])
  end
end
return 1
