-- Applies one batch of one partition, results and position together, if and only if it follows what was applied before.
-- Records of orders are written by compare-and-set: another partition may have told something of them meanwhile.
-- KEYS: state, log, ids, totals, the common beginning of the records' buckets
-- ARGV: as named below, then for each total its name and what to add.
--       first: '1': the caller found no position · batch: an id of its own of what is sent · delta, hashes, and the times
--       of these: or '' · epoch: for a new store · changes: records, one after the other: bucket (4 bytes, big-endian),
--       field (8), what it was read as or nothing, what it becomes (each after its length in 2 bytes) · max_pairs: most
--       totals of negative amounts · clock_ms: a newest event time later than this that is stored already was left by a
--       clock that was wrong, or ''
-- Returns 'ok', also when this very call got through before, or holds nothing; 'read again' when a record is not what it
-- was; or the position to go to ('' when there is none).
local state, log, ids, totals, buckets = unpack(KEYS)
local partition, follows, next_, first, batch, newest_ms, now_ms = unpack(ARGV, 1, 7)
local delta, hashes, hashes_oldest_ms, hashes_newest_ms, epoch, changes, max_pairs, clock_ms = unpack(ARGV, 8, 15)
local position = redis.call('HGET', state, 'pos:' .. partition)
if position then
  if position == next_ and redis.call('HGET', state, 'by:' .. partition) == batch then return 'ok' end
  if position ~= follows then return position end
elseif first ~= '1' then
  return ''
end
if next_ == follows then return 'ok' end  -- it holds nothing, and its position may be in the log already
local records, at = {}, 1
while at <= #changes do
  local bucket, field, before, after
  bucket, field, before, after, at = struct.unpack('>I4c8Hc0Hc0', changes, at)
  local key = string.format('%s:%x', buckets, bucket)
  if (redis.call('HGET', key, field) or '') ~= before then return 'read again' end
  records[#records + 1] = { key, field, after }
end
-- First what could fail, were the log ahead of the position: then nothing is applied.
redis.call('XADD', log, next_ .. '-0', 'f', follows, 'd', delta)
redis.call('HSETNX', state, 'epoch', epoch)
redis.call('HSET', state, 'pos:' .. partition, next_, 'by:' .. partition, batch)
redis.call('HDEL', state, 'stopped:' .. partition)
if not position then
  redis.call('HSET', state, 'rolled:' .. partition, follows)
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
  redis.call('XADD', ids, next_ .. '-0', 'h', hashes, 'o', hashes_oldest_ms, 'n', hashes_newest_ms)
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
