-- Applies changes of promotions together with the position of their partition, under the same fence as `apply`.
-- KEYS: state, promotions, totals
-- ARGV: as named below, then the name and increment of each total, then the id and definition of each change ('' deletes)
-- Returns 'ok', also if another worker reached the same position: the same records give the same definitions; or the stored
-- position ('' if there is none).
local state, promotions, totals = unpack(KEYS)
local partition, start_offset, end_offset, first, epoch, totals_count = unpack(ARGV, 1, 6)
local position = redis.call('HGET', state, 'pos:' .. partition)
if position then
  if position == end_offset then return 'ok' end
  if position ~= start_offset then return position end
elseif first ~= '1' then
  return ''
end
redis.call('HSETNX', state, 'epoch', epoch)
redis.call('HSET', state, 'pos:' .. partition, end_offset, 'rolled:' .. partition, end_offset)
redis.call('HDEL', state, 'stopped:' .. partition)
local changes = 7 + 2 * tonumber(totals_count)
redis.call('HINCRBY', state, 'applied:' .. partition, (#ARGV - changes + 1) / 2)
for i = 7, changes - 1, 2 do redis.call('HINCRBY', totals, ARGV[i], ARGV[i + 1]) end
for i = changes, #ARGV, 2 do
  local promotion_id, definition = ARGV[i], ARGV[i + 1]
  if definition == '' then
    redis.call('HDEL', promotions, promotion_id)
  else
    redis.call('HSET', promotions, promotion_id, definition)
  end
end
redis.call('HINCRBY', state, 'promotions', 1)
return 'ok'
