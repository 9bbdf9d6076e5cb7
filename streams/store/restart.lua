-- Sets a partition to another position, where its topic was made anew or lost what came next. All of its log must be rolled.
-- The epoch becomes another: who followed the log may not have looked between the old position and the same one again.
-- Event ids stay, under entry ids below those of all new positions: what is sent again to a new topic is a repeat.
-- KEYS: state, log, ids
-- ARGV: partition, position, new position, event time from which on the history has a hole, id of the topic or '', the epoch
-- Returns 'ok', or the position found.
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1]) or ''
local rolled = redis.call('HGET', KEYS[1], 'rolled:' .. ARGV[1]) or ''
if position ~= ARGV[2] or rolled ~= ARGV[2] then return position end
local ids = redis.call('XRANGE', KEYS[3], '-', '+')
redis.call('DEL', KEYS[2], KEYS[3])
for i, entry in ipairs(ids) do redis.call('XADD', KEYS[3], '0-' .. i, unpack(entry[2])) end
redis.call('HDEL', KEYS[1], 'by:' .. ARGV[1])
redis.call('HSET', KEYS[1], 'epoch', ARGV[6])
redis.call('HSET', KEYS[1], 'pos:' .. ARGV[1], ARGV[3], 'rolled:' .. ARGV[1], ARGV[3], 'incomplete:' .. ARGV[1], ARGV[4])
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[1], 'topic:' .. ARGV[1])
else
  local topic = redis.call('HGET', KEYS[1], 'topic:' .. ARGV[1]) or ''
  local last, before = string.match(topic, '^(%S*) ?(%S*)$')
  if last == ARGV[5] then last = before end
  redis.call('HSET', KEYS[1], 'topic:' .. ARGV[1], ARGV[5] .. ' ' .. last)
end
return 'ok'
