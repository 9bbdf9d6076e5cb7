-- Stores the id of a partition's topic if none is stored and the position is as given.
-- KEYS: state
-- ARGV: partition, position, topic id
-- Returns 'ok', or the stored position.
local state, partition, position, topic_id = KEYS[1], unpack(ARGV)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
if found ~= position then return found end
redis.call('HSETNX', state, 'topic:' .. partition, topic_id)
return 'ok'
