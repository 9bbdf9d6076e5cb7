-- Moves deltas of one partition from its log into blocks of panes, if and only if nobody else wrote meanwhile.
-- KEYS: state, log, ids, then for each write the index of its level and the key of its block
-- ARGV: as named below, then for each write: block start, seconds to live or '', name and content of the part, how many
--       parts it replaces, and their names.
--       batch: id of the batch that the caller believes to be the last: who stands at the same position may have come
--       there by another one
-- Returns 'ok', or the position found.
local state, log, ids = KEYS[1], KEYS[2], KEYS[3]
local partition, position, batch, rolled_from, rolled_to, log_kept_from, ids_kept_from = unpack(ARGV, 1, 7)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
local by = redis.call('HGET', state, 'by:' .. partition) or ''
local rolled = redis.call('HGET', state, 'rolled:' .. partition) or ''
if found ~= position or by ~= batch or rolled ~= rolled_from then return found end
local at = 8
for i = 4, #KEYS, 2 do
  local index, block = KEYS[i], KEYS[i + 1]
  local start, seconds_to_live, name, content, replaces = unpack(ARGV, at, at + 4)
  at = at + 5
  local is_new = redis.call('ZADD', index, start, start) == 1
  -- What is listed and not there has expired. It stays so, for readers to see: with a new part it would look whole.
  if is_new or redis.call('HLEN', block) > 0 then
    for i = at, at + tonumber(replaces) - 1 do redis.call('HDEL', block, ARGV[i]) end
    redis.call('HSET', block, name, content)
    if seconds_to_live ~= '' then redis.call('EXPIRE', block, seconds_to_live) end
  end
  at = at + tonumber(replaces)
end
redis.call('HSET', state, 'rolled:' .. partition, rolled_to)
redis.call('XTRIM', log, 'MINID', log_kept_from)
redis.call('XTRIM', ids, 'MINID', ids_kept_from)
return 'ok'
