-- Moves a partition to another position, after its topic was recreated or lost records. The whole log must be compacted.
-- Event ids are kept, under entry ids below all new positions, so that records sent again are duplicates.
-- KEYS: state, log, ids, compacted ids
-- The epoch changes, since readers of the log may otherwise miss that the position moved back and returned.
-- ARGV: as named below. unknown_ms: time of the loss if no event was ever counted, else it is the newest event time, as in
--       mark_incomplete.lua; '' if no loss is known
--       topic_id: of the topic, or '' · epoch: the new one
-- Returns 'ok', or the stored position.
local state, log, ids, compacted_ids = unpack(KEYS)
local partition, position, new_position, unknown_ms, topic_id, epoch = unpack(ARGV)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
local rolled = redis.call('HGET', state, 'rolled:' .. partition) or ''
if found ~= position or rolled ~= position then return found end
local kept, recent = redis.call('XRANGE', compacted_ids, '-', '+'), redis.call('XRANGE', ids, '-', '+')
for _, entry in ipairs(recent) do kept[#kept + 1] = entry end
redis.call('DEL', log, ids, compacted_ids)
for i, entry in ipairs(kept) do redis.call('XADD', compacted_ids, '0-' .. i, unpack(entry[2])) end
redis.call('HDEL', state, 'by:' .. partition, 'stopped:' .. partition)
redis.call('HSET', state, 'pos:' .. partition, new_position, 'rolled:' .. partition, new_position)
redis.call('HSET', state, 'epoch', epoch)
if unknown_ms ~= '' then
  local since_ms = redis.call('HGET', state, 'max:' .. partition) or unknown_ms
  local before_ms = redis.call('HGET', state, 'incomplete:' .. partition)
  if not before_ms or tonumber(since_ms) < tonumber(before_ms) then
    redis.call('HSET', state, 'incomplete:' .. partition, since_ms)
  end
end
if topic_id == '' then
  redis.call('HDEL', state, 'topic:' .. partition)
else
  local topic = redis.call('HGET', state, 'topic:' .. partition) or ''
  local last, before = string.match(topic, '^(%S*) ?(%S*)$')
  if last == topic_id then last = before end
  redis.call('HSET', state, 'topic:' .. partition, topic_id .. ' ' .. last)
end
return 'ok'
