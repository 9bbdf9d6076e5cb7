-- Stores why a partition is paused, if its position is as given. Applying a batch clears it.
-- KEYS: state
-- ARGV: partition, position ('' if there is none), why
-- Returns 'ok', or the stored position ('' if there is none).
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1]) or ''
if position ~= ARGV[2] then return position end
redis.call('HSET', KEYS[1], 'stopped:' .. ARGV[1], ARGV[3])
return 'ok'
