-- Writes heartbeats of partitions whose position is the stored one, or was set by the caller's batch in flight.
-- For partitions with a backlog, or without an answer of the broker, it stores since when the position has not moved; the
-- time restarts after a worker was away for longer than a restart takes.
-- KEYS: state
-- ARGV: now ms, then for each partition its name, position or '', lag ('': the broker does not answer, lag unknown), a time
--       by which every record that had arrived is before the position, or '', reads of a large record, and the id of the
--       batch in flight, or ''
-- Returns the names of the partitions whose position differs.
local state, now_ms = KEYS[1], ARGV[1]
local moved = {}
for i = 2, #ARGV, 6 do
  local partition, position, lag, arrived_ms, steps, batch_in_flight = unpack(ARGV, i, i + 5)
  if
    (redis.call('HGET', state, 'pos:' .. partition) or '') == position
    or (batch_in_flight ~= '' and redis.call('HGET', state, 'by:' .. partition) == batch_in_flight)
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
