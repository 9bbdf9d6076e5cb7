-- Says that a worker is at work on its partitions: only where it stands at the position that is stored.
-- KEYS: state
-- ARGV: now ms, then for each partition its name, position or '', records not yet counted
-- Returns the names of the partitions whose position is another.
local moved = {}
for i = 2, #ARGV, 3 do
  local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[i]) or ''
  if position == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], 'seen:' .. ARGV[i], ARGV[1], 'lag:' .. ARGV[i], ARGV[i + 2])
  else
    moved[#moved + 1] = ARGV[i]
  end
end
return moved
