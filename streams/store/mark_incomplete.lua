-- Marks that records after a partition's position are lost. The earliest mark is kept.
-- KEYS: state
-- ARGV: partition · position · unknown_ms: time of the loss if no event was ever counted; else it is the newest event time
-- Returns 'ok', or the stored position if it differs: then nothing is marked.
local state, partition, position, unknown_ms = KEYS[1], unpack(ARGV)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
if found ~= position then return found end
local since_ms = redis.call('HGET', state, 'max:' .. partition) or unknown_ms
local before_ms = redis.call('HGET', state, 'incomplete:' .. partition)
if not before_ms or tonumber(since_ms) < tonumber(before_ms) then
  redis.call('HSET', state, 'incomplete:' .. partition, since_ms)
end
return 'ok'
