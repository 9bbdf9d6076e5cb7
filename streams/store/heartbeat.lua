-- Says that a worker is at work on its partitions: only where it stands at the position that is stored.
-- KEYS: state
-- ARGV: now ms, then for each partition its name, position or '', records not yet counted, and when everything had arrived
--       that is before the position, or ''
-- Returns the names of the partitions whose position is another.
local state, now_ms = KEYS[1], ARGV[1]
local moved = {}
for i = 2, #ARGV, 4 do
  local partition, position, lag, arrived_ms = unpack(ARGV, i, i + 3)
  if (redis.call('HGET', state, 'pos:' .. partition) or '') == position then
    redis.call('HSET', state, 'seen:' .. partition, now_ms, 'lag:' .. partition, lag)
    if arrived_ms ~= '' then redis.call('HSET', state, 'upto:' .. partition, arrived_ms) end
  else
    moved[#moved + 1] = partition
  end
end
return moved
