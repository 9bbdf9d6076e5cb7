-- Applies one batch of one partition, results and position together, if it starts at the stored position.
-- Order records are written by compare-and-set, since another partition may have changed them.
-- KEYS: state, log, ids, totals, common prefix of the record buckets
-- ARGV: as named below, then the name and increment of each total.
--       first: '1' if the caller found no position · batch: unique id of this content · delta, hashes, hash times: '' if
--       none · epoch: for a new store · changes: records in sequence: bucket (4 bytes, big-endian), field (8), previous and
--       new content (each after its length in 2 bytes) · max_pairs: limit of totals of negative amounts · clock_ms: a later
--       stored event time came from a wrong clock and is replaced; '' to keep any
-- Returns 'ok', also if this content was applied before or is empty; 'read again' if a record has changed; or the stored
-- position ('' if there is none).
local state, log, ids, totals, buckets = unpack(KEYS)
local partition, start_offset, end_offset, first, batch, newest_ms, now_ms = unpack(ARGV, 1, 7)
local delta, hashes, hashes_oldest_ms, hashes_newest_ms, epoch, changes, max_pairs, clock_ms = unpack(ARGV, 8, 15)
local position = redis.call('HGET', state, 'pos:' .. partition)
if position then
  if position == end_offset and redis.call('HGET', state, 'by:' .. partition) == batch then return 'ok' end
  if position ~= start_offset then return position end
elseif first ~= '1' then
  return ''
end
if end_offset == start_offset then return 'ok' end  -- empty: its position may be in the log already
local records, at = {}, 1
while at <= #changes do
  local bucket, field, before, after
  bucket, field, before, after, at = struct.unpack('>I4c8Hc0Hc0', changes, at)
  local key = string.format('%s:%x', buckets, bucket)
  if (redis.call('HGET', key, field) or '') ~= before then return 'read again' end
  records[#records + 1] = { key, field, after }
end
-- XADD first: it fails if the log is ahead of the position, and then nothing is applied.
redis.call('XADD', log, end_offset .. '-0', 'f', start_offset, 'd', delta)
redis.call('HSETNX', state, 'epoch', epoch)
redis.call('HSET', state, 'pos:' .. partition, end_offset, 'by:' .. partition, batch)
redis.call('HDEL', state, 'stopped:' .. partition)
if not position then
  redis.call('HSET', state, 'rolled:' .. partition, start_offset)
end
if newest_ms ~= '' then
  local newest = tonumber(redis.call('HGET', state, 'max:' .. partition))
  if not newest or newest < tonumber(newest_ms) or (clock_ms ~= '' and newest > tonumber(clock_ms)) then
    redis.call('HSET', state, 'max:' .. partition, newest_ms)
  end
  redis.call('HSET', state, 'new:' .. partition, now_ms)
else
  redis.call('HSET', state, 'void:' .. partition, now_ms)
end
if hashes ~= '' then
  redis.call('XADD', ids, end_offset .. '-0', 'h', hashes, 'o', hashes_oldest_ms, 'n', hashes_newest_ms)
end
for _, record in ipairs(records) do redis.call('HSET', record[1], record[2], record[3]) end
for i = 16, #ARGV, 2 do
  local name = ARGV[i]
  local kind = string.match(name, '^[^,]*')
  if kind == 'negative_amounts' and redis.call('HEXISTS', totals, name) == 0 then
    local held = tonumber(redis.call('HGET', state, 'pairs,negative_amounts') or 0)
    if held < tonumber(max_pairs) then
      redis.call('HINCRBY', state, 'pairs,negative_amounts', 1)
    else
      name = 'negative_amounts,rest'
    end
  end
  redis.call('HINCRBY', totals, name, ARGV[i + 1])
  if kind == 'rejected' or kind == 'labels_dropped' or kind == 'negative_amounts' then
    redis.call('HSET', state, 'last,' .. kind, now_ms)
  end
end
return 'ok'
