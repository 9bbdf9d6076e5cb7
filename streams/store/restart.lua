-- Sets a partition to another position, where its topic was made anew or lost what came next. All of its log must be rolled.
-- Event ids stay, under entry ids below those of all new positions: what is sent again to a new topic is a repeat.
-- KEYS: state, log, ids, rolled ids
-- The epoch becomes another: who followed the log may not have looked between the old position and the same one again.
-- ARGV: as named below. unknown_ms: from when on the history has a hole where the partition never counted an event, else it
--       is the newest that it counted, as in incomplete.lua; '' where nothing is known to be missing
--       topic_id: of the topic, or '' · epoch: the new one
-- Returns 'ok', or the position found.
local state, log, ids, rolled_ids = unpack(KEYS)
local partition, position, new_position, unknown_ms, topic_id, epoch = unpack(ARGV)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
local rolled = redis.call('HGET', state, 'rolled:' .. partition) or ''
if found ~= position or rolled ~= position then return found end
local kept, recent = redis.call('XRANGE', rolled_ids, '-', '+'), redis.call('XRANGE', ids, '-', '+')
for _, entry in ipairs(recent) do kept[#kept + 1] = entry end
redis.call('DEL', log, ids, rolled_ids)
for i, entry in ipairs(kept) do redis.call('XADD', rolled_ids, '0-' .. i, unpack(entry[2])) end
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
