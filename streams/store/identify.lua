-- Notes which topic a partition was counted from, where that is not known yet and the partition stands where it is thought.
-- KEYS: state
-- ARGV: partition, position, id of the topic
-- Returns 'ok', or the position found.
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1]) or ''
if position ~= ARGV[2] then return position end
redis.call('HSETNX', KEYS[1], 'topic:' .. ARGV[1], ARGV[3])
return 'ok'
