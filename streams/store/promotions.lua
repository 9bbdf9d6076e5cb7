-- Applies changes of promotions, with the position of their partition, under the same fence as `apply`.
-- KEYS: state, promotions, totals
-- ARGV: as named below, then for each total its name and what to add, then for each change its id and its definition (''
--       deletes)
-- Returns 'ok', also where somebody has come to the same position before: definitions are what the records say, whoever
-- applied them; or the position to go to ('' when there is none).
local state, promotions, totals = unpack(KEYS)
local partition, follows, next_, first, epoch, totals_count = unpack(ARGV, 1, 6)
local position = redis.call('HGET', state, 'pos:' .. partition)
if position then
  if position == next_ then return 'ok' end
  if position ~= follows then return position end
elseif first ~= '1' then
  return ''
end
redis.call('HSETNX', state, 'epoch', epoch)
redis.call('HSET', state, 'pos:' .. partition, next_, 'rolled:' .. partition, next_)
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
