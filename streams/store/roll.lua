-- Moves deltas of one partition from its log into blocks of panes, if and only if nobody else wrote meanwhile.
-- Entries of event ids that were passed are joined, see streams/store/id_log.py.
-- KEYS: state, log, ids, rolled ids, then for each write the index of its level and the key of its block
-- ARGV: as named below, then where each joined entry of ids ends, then for each write: block start, seconds to live or '', name and content of the part, how many
--       parts it replaces, and their names.
--       batch: id of the batch that the caller believes to be the last: who stands at the same position may have come
--       there by another one
-- Returns 'ok', or the position found.
local state, log, ids, rolled_ids = unpack(KEYS, 1, 4)
local partition, position, batch, rolled_from, rolled_to, log_kept_from, ids_kept_from, ends = unpack(ARGV, 1, 8)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
local by = redis.call('HGET', state, 'by:' .. partition) or ''
local rolled = redis.call('HGET', state, 'rolled:' .. partition) or ''
if found ~= position or by ~= batch or rolled ~= rolled_from then return found end
-- Joins entries up to a position into one that ends there.
local function join_ids(last)
  local hashes, oldest, newest = {}, nil, nil
  for i, entry in ipairs(redis.call('XRANGE', ids, '-', last .. '-0')) do
    local fields = entry[2]
    hashes[i] = fields[2]
    if not oldest or tonumber(fields[4]) < tonumber(oldest) then oldest = fields[4] end
    if not newest or tonumber(fields[6]) > tonumber(newest) then newest = fields[6] end
  end
  if #hashes > 0 then
    redis.call('XADD', rolled_ids, last .. '-0', 'h', table.concat(hashes), 'o', oldest, 'n', newest)
    redis.call('XTRIM', ids, 'MINID', last .. '-1')
  end
end
local at = 9 + tonumber(ends)
for i = 5, #KEYS, 2 do
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
redis.call('XTRIM', rolled_ids, 'MINID', ids_kept_from)
for i = 9, 8 + tonumber(ends) do join_ids(ARGV[i]) end
return 'ok'
