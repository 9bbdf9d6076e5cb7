-- Claims a receiver and returns its due notices. One process at a time sends to a receiver, which keeps the order,
-- grouping and rate limit.
-- KEYS: turn, due, outbox, sent
-- ARGV: owner, lease ms, now ms, end of the attempts to forget (ms), maximum number of notices
-- Returns 'busy'; or 'blocked' and its end; or 'due', consecutive failures, times of attempts, and notices.
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'owner', 'until', 'blocked', 'failures')
if held[1] and held[1] ~= ARGV[1] and tonumber(held[2] or '0') > clock then return {'busy'} end
if held[3] and tonumber(held[3]) > tonumber(ARGV[3]) then return {'blocked', held[3]} end
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3], 'LIMIT', 0, ARGV[5])
if #ids == 0 then return {'due', held[4] or '0', {}, {}} end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', clock + ARGV[2]))
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', ARGV[4])
local times, notices = {}, {}
for i, entry in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES')) do
  if i % 2 == 0 then times[#times + 1] = entry end
end
for i = 1, #ids do
  local notice = redis.call('HGET', KEYS[3], ids[i])
  if notice then notices[#notices + 1] = notice else redis.call('ZREM', KEYS[2], ids[i]) end
end
return {'due', held[4] or '0', times, notices}
