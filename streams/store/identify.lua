-- Notes which topic a partition was counted from, where that is not known yet and the partition stands where it is thought.
-- KEYS: state
-- ARGV: partition, position, id of the topic
-- Returns 'ok', or the position found.
local state, partition, position, topic_id = KEYS[1], unpack(ARGV)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
if found ~= position then return found end
redis.call('HSETNX', state, 'topic:' .. partition, topic_id)
return 'ok'
