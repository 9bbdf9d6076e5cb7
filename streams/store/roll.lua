-- Moves deltas of one partition from its log into blocks of panes, if and only if nobody else wrote meanwhile.
-- KEYS: state, log, ids, then for each write the index of its level and the key of its block
-- ARGV: partition, position, rolled from, rolled to, log entries kept from, id entries kept from,
--       then for each write: block start, seconds to live or '', name and content of the part, how many parts it replaces,
--       and their names
-- Returns 'ok', or the position found.
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1]) or ''
local rolled = redis.call('HGET', KEYS[1], 'rolled:' .. ARGV[1]) or ''
if position ~= ARGV[2] or rolled ~= ARGV[3] then return position end
local at = 7
for i = 4, #KEYS, 2 do
  local index, key = KEYS[i], KEYS[i + 1]
  redis.call('ZADD', index, ARGV[at], ARGV[at])
  for j = 1, tonumber(ARGV[at + 4]) do redis.call('HDEL', key, ARGV[at + 4 + j]) end
  redis.call('HSET', key, ARGV[at + 2], ARGV[at + 3])
  if ARGV[at + 1] ~= '' then redis.call('EXPIRE', key, ARGV[at + 1]) end
  at = at + 5 + tonumber(ARGV[at + 4])
end
redis.call('HSET', KEYS[1], 'rolled:' .. ARGV[1], ARGV[4])
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[5])
redis.call('XTRIM', KEYS[3], 'MINID', ARGV[6])
return 'ok'
