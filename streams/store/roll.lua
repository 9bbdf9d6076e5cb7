-- Moves deltas of one partition from its log into the blocks of panes, if and only if nobody else wrote meanwhile.
-- KEYS: state, log, ids, then for each block its index and its key
-- ARGV: partition, position, rolled from, rolled to, log entries kept from, id entries kept from or '',
--       then for each block its start, its seconds to live or '', its content
-- Returns 'ok', or the position found.
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1]) or ''
local rolled = redis.call('HGET', KEYS[1], 'rolled:' .. ARGV[1]) or ''
if position ~= ARGV[2] or rolled ~= ARGV[3] then return position end
local blocks = (#KEYS - 3) / 2
for i = 0, blocks - 1 do
  local index, key = KEYS[4 + 2 * i], KEYS[5 + 2 * i]
  local start, ttl, content = ARGV[7 + 3 * i], ARGV[8 + 3 * i], ARGV[9 + 3 * i]
  redis.call('ZADD', index, start, start)
  redis.call('HSET', key, ARGV[1], content)
  if ttl ~= '' then redis.call('EXPIRE', key, ttl) end
end
redis.call('HSET', KEYS[1], 'rolled:' .. ARGV[1], ARGV[4])
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[5])
if ARGV[6] ~= '' then redis.call('XTRIM', KEYS[3], 'MINID', ARGV[6]) end
return 'ok'
