-- Says that a worker is at work on its partitions: only where it stands at the position that is stored.
-- KEYS: state
-- ARGV: now ms, then for each partition its name, position or '', records not yet counted
-- Returns the names of the partitions whose position is another.
local state, now_ms = KEYS[1], ARGV[1]
local moved = {}
for i = 2, #ARGV, 3 do
  local partition, position, lag = unpack(ARGV, i, i + 2)
  if (redis.call('HGET', state, 'pos:' .. partition) or '') == position then
    redis.call('HSET', state, 'seen:' .. partition, now_ms, 'lag:' .. partition, lag)
  else
    moved[#moved + 1] = partition
  end
end
return moved
