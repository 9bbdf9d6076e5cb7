-- Says that a worker is at work on its partitions: only where it stands at the position that is stored, or where a batch that
-- it is applying has led there, of which it has no answer yet.
-- Where records wait, or the broker answers nothing, it is noted since when nothing has moved; a worker that was away for
-- longer than a restart takes begins that anew.
-- KEYS: state
-- ARGV: now ms, then for each partition its name, position or '', records not yet counted ('': the broker does not answer,
--       which is no word about the partition), when everything had arrived that is before the position, or '', how far a
--       large record was read, and the id of the batch that is being applied, or ''
-- Returns the names of the partitions whose position is another.
local state, now_ms = KEYS[1], ARGV[1]
local moved = {}
for i = 2, #ARGV, 6 do
  local partition, position, lag, arrived_ms, steps, applying = unpack(ARGV, i, i + 5)
  if
    (redis.call('HGET', state, 'pos:' .. partition) or '') == position
    or (applying ~= '' and redis.call('HGET', state, 'by:' .. partition) == applying)
  then
    if lag ~= '' then redis.call('HSET', state, 'seen:' .. partition, now_ms, 'lag:' .. partition, lag) end
    if arrived_ms ~= '' then redis.call('HSET', state, 'upto:' .. partition, arrived_ms) end
    local waits, at = redis.call('HGET', state, 'waits:' .. partition), position .. '.' .. steps
    if lag == '0' then
      if waits then redis.call('HDEL', state, 'waits:' .. partition) end
    else
      local before, since_ms, reported_ms = string.match(waits or '', '^(%S+) (%d+) (%d+)')
      local away_ms = tonumber(now_ms) - tonumber(reported_ms or now_ms)
      if before ~= at or away_ms < 0 or away_ms > 60000 then since_ms = now_ms end
      redis.call('HSET', state, 'waits:' .. partition, table.concat({ at, since_ms, now_ms, lag }, ' '))
    end
  else
    moved[#moved + 1] = partition
  end
end
return moved
