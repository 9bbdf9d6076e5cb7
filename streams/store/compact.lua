-- Moves deltas of one partition from its log into blocks of panes, unless another worker wrote meanwhile.
-- Joins entries of event ids, see streams/store/id_log.py.
-- KEYS: state, log, ids, compacted ids, then for each write the index of its level and the key of its block
-- ARGV: as named below, then the end of each joined entry of ids, then for each write: block start, TTL or '', name and
--       content of the part, number of parts that it replaces, and their names.
--       batch: id of the last batch as the caller knows it: another batch may have led to the same position
-- Returns 'ok', or the stored position.
local state, log, ids, compacted_ids = unpack(KEYS, 1, 4)
local partition, position, batch, compacted_from, compacted_to, log_kept_from, ids_kept_from, ends = unpack(ARGV, 1, 8)
local found = redis.call('HGET', state, 'pos:' .. partition) or ''
local by = redis.call('HGET', state, 'by:' .. partition) or ''
local rolled = redis.call('HGET', state, 'rolled:' .. partition) or ''
if found ~= position or by ~= batch or rolled ~= compacted_from then return found end
-- Join entries up to a position into one that ends there.
local function join_ids(last)
  local hashes, oldest, newest = {}, nil, nil
  for i, entry in ipairs(redis.call('XRANGE', ids, '-', last .. '-0')) do
    local fields = entry[2]
    hashes[i] = fields[2]
    if not oldest or tonumber(fields[4]) < tonumber(oldest) then oldest = fields[4] end
    if not newest or tonumber(fields[6]) > tonumber(newest) then newest = fields[6] end
  end
  if #hashes > 0 then
    redis.call('XADD', compacted_ids, last .. '-0', 'h', table.concat(hashes), 'o', oldest, 'n', newest)
    redis.call('XTRIM', ids, 'MINID', last .. '-1')
  end
end
local at = 9 + tonumber(ends)
for i = 5, #KEYS, 2 do
  local index, block = KEYS[i], KEYS[i + 1]
  local start, seconds_to_live, name, content, replaces = unpack(ARGV, at, at + 4)
  at = at + 5
  local is_new = redis.call('ZADD', index, start, start) == 1
  -- A listed block that does not exist has expired. Do not write to it, or readers would take it for complete.
  if is_new or redis.call('HLEN', block) > 0 then
    for i = at, at + tonumber(replaces) - 1 do redis.call('HDEL', block, ARGV[i]) end
    redis.call('HSET', block, name, content)
    if seconds_to_live ~= '' then redis.call('EXPIRE', block, seconds_to_live) end
  end
  at = at + tonumber(replaces)
end
redis.call('HSET', state, 'rolled:' .. partition, compacted_to)
redis.call('XTRIM', log, 'MINID', log_kept_from)
redis.call('XTRIM', ids, 'MINID', ids_kept_from)
redis.call('XTRIM', compacted_ids, 'MINID', ids_kept_from)
for i = 9, 8 + tonumber(ends) do join_ids(ARGV[i]) end
return 'ok'
