-- Acquires or renews the lease. A new holder gets a new epoch, which fences writes of earlier holders.
-- KEYS: lead
-- ARGV: owner, lease ms ('0': release)
-- Returns epoch (0: another process leads), version of the states, ms until the lease ends, leader's name.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'owner', 'until', 'epoch', 'version')
local owner, free, epoch, version = held[1] or '', tonumber(held[2] or '0'), tonumber(held[3] or '0'), held[4] or '0'
if ARGV[2] == '0' then
  if owner == ARGV[1] then redis.call('HSET', KEYS[1], 'until', '0') end
  return {0, version, 0, owner}
end
if owner ~= ARGV[1] and free > now then return {0, version, free - now, owner} end
if owner ~= ARGV[1] or free <= now then
  -- The clock keeps epochs increasing if Redis has lost the last one.
  epoch = math.max(epoch + 1, now)
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]),
  'epoch', string.format('%.0f', epoch), 'version', version)
return {epoch, version, tonumber(ARGV[2]), ARGV[1]}
