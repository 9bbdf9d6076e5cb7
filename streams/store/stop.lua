-- Notes why a partition is not read on, if and only if it stands where that was found. Counting on removes the note.
-- KEYS: state
-- ARGV: partition, position ('' where there is none), why
-- Returns 'ok', or the position to go to ('' when there is none).
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1]) or ''
if position ~= ARGV[2] then return position end
redis.call('HSET', KEYS[1], 'stopped:' .. ARGV[1], ARGV[3])
return 'ok'
