-- Applies changes of promotions, with the position of their partition, under the same fence as `apply`.
-- KEYS: state, promotions, totals
-- ARGV: partition, follows, next, first, epoch, how many totals, then for each its name and what to add,
--       then for each change its id and its definition ('' deletes)
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1])
if position then
  if position ~= ARGV[2] then return position end
elseif ARGV[4] ~= '1' then
  return ''
end
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[5])
redis.call('HSET', KEYS[1], 'pos:' .. ARGV[1], ARGV[3], 'rolled:' .. ARGV[1], ARGV[3])
local changes = 7 + 2 * tonumber(ARGV[6])
for i = 7, changes - 1, 2 do redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 1]) end
for i = changes, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
redis.call('HINCRBY', KEYS[1], 'promotions', 1)
return 'ok'
