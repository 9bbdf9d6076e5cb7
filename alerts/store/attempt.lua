-- Records the start of an attempt, which counts against the receiver's rate limit, and extends the claim.
-- KEYS: turn, sent
-- ARGV: owner, lease ms, now ms, attempt id, retention of attempts in ms
-- Returns 1, or 0 if another process holds the claim.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', clock + ARGV[2]))
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
