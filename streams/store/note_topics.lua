-- Stores the broker's topics. Brokers learn of new partitions one after the other, so the largest number per topic id is
-- kept.
-- KEYS: state of shard 0
-- ARGV: name, id or '', and number of partitions of each topic; 0: it does not exist
local state = KEYS[1]
for i = 1, #ARGV, 3 do
  local name, topic_id, count = unpack(ARGV, i, i + 2)
  local held_id, held_count = string.match(redis.call('HGET', state, 'broker,' .. name) or '', '^(%S*) (%d+)$')
  if not held_id or held_id ~= topic_id or topic_id == '' or tonumber(held_count) < tonumber(count) then
    redis.call('HSET', state, 'broker,' .. name, topic_id .. ' ' .. count)
  end
end
return 'ok'
