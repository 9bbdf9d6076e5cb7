-- Marks that records after a partition's position are lost: they will never be counted. The earliest mark is kept.
-- KEYS: state
-- ARGV: partition · position · unknown_ms: from when on, where the partition never counted an event; else it is the newest
--       that it counted
-- Returns 'ok', or the position found, where it is another: nothing is marked then.
local state, partition, position, unknown_ms = KEYS[1], unpack(ARGV)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
if found ~= position then return found end
local since_ms = redis.call('HGET', state, 'max:' .. partition) or unknown_ms
local before_ms = redis.call('HGET', state, 'incomplete:' .. partition)
if not before_ms or tonumber(since_ms) < tonumber(before_ms) then
  redis.call('HSET', state, 'incomplete:' .. partition, since_ms)
end
return 'ok'
