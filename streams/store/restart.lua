-- Sets a partition to another position, where its topic was made anew or lost what came next. All of its log must be rolled.
-- Event ids stay, under entry ids below those of all new positions: what is sent again to a new topic is a repeat.
-- KEYS: state, log, ids
-- The epoch becomes another: who followed the log may not have looked between the old position and the same one again.
-- ARGV: as named below. incomplete_ms: event time from which on the history has a hole, or '' where nothing is known to be
--       missing · topic_id: of the topic, or '' · epoch: the new one
-- Returns 'ok', or the position found.
local state, log, ids = unpack(KEYS)
local partition, position, new_position, incomplete_ms, topic_id, epoch = unpack(ARGV)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
local rolled = redis.call('HGET', state, 'rolled:' .. partition) or ''
if found ~= position or rolled ~= position then return found end
local kept = redis.call('XRANGE', ids, '-', '+')
redis.call('DEL', log, ids)
for i, entry in ipairs(kept) do redis.call('XADD', ids, '0-' .. i, unpack(entry[2])) end
redis.call('HDEL', state, 'by:' .. partition)
redis.call('HSET', state, 'pos:' .. partition, new_position, 'rolled:' .. partition, new_position)
redis.call('HSET', state, 'epoch', epoch)
if incomplete_ms ~= '' then redis.call('HSET', state, 'incomplete:' .. partition, incomplete_ms) end
if topic_id == '' then
  redis.call('HDEL', state, 'topic:' .. partition)
else
  local topic = redis.call('HGET', state, 'topic:' .. partition) or ''
  local last, before = string.match(topic, '^(%S*) ?(%S*)$')
  if last == topic_id then last = before end
  redis.call('HSET', state, 'topic:' .. partition, topic_id .. ' ' .. last)
end
return 'ok'
