-- Applies one batch of one partition, results and position together, if it starts at the stored position.
-- Order records are written by compare-and-set, since another partition may have changed them.
-- KEYS: state, log, ids, totals, common prefix of the record buckets
-- ARGV: as named below, then the name and increment of each total.
--       first: '1' if the caller found no position · batch: unique id of this content · delta, hashes, hash times: '' if
--       none · epoch: for a new store · changes: records in sequence: bucket (4 bytes, big-endian), field (8), previous and
--       new content (each after its length in 2 bytes) · max_pairs: limit of totals of negative amounts · clock_ms: a later
--       stored event time came from a wrong clock and is replaced; '' to keep any · setup: token of the caller's setup, '' if
--       it has none
-- Returns 'ok', also if this content was applied before or is empty; 'read again' if a record has changed; 'superseded' if
-- workers have another setup now; or the stored position ('' if there is none).
local state, log, ids, totals, buckets = unpack(KEYS)
local partition, start_offset, end_offset, first, batch, newest_ms, now_ms = unpack(ARGV, 1, 7)
local delta, hashes, hashes_oldest_ms, hashes_newest_ms, epoch, changes, max_pairs, clock_ms, setup = unpack(ARGV, 8, 16)
local position = redis.call('HGET', state, 'pos:' .. partition)
if position == end_offset and redis.call('HGET', state, 'by:' .. partition) == batch then return 'ok' end
local present = setup ~= '' and redis.call('HGET', state, 'setup')
if present and present ~= setup then return 'superseded' end
if position then
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
if setup ~= '' and not present then redis.call('HSET', state, 'setup', setup) end  -- Redis was wiped
redis.call('HSET', state, 'pos:' .. partition, end_offset, 'by:' .. partition, batch)
redis.call('HDEL', state, 'stopped:' .. partition)
if not position then
  redis.call('HSET', state, 'rolled:' .. partition, start_offset)
end
-- The newest event time that `max` leaves out, so that a new measure can begin after all that was counted.
local function note_ahead(ms)
  local top = redis.call('HGET', state, 'top:' .. partition)
  if not top or tonumber(top) < tonumber(ms) then redis.call('HSET', state, 'top:' .. partition, ms) end
end
if hashes ~= '' and (newest_ms == '' or tonumber(hashes_newest_ms) > tonumber(newest_ms)) then note_ahead(hashes_newest_ms) end
if newest_ms ~= '' then
  local newest = tonumber(redis.call('HGET', state, 'max:' .. partition))
  local wrong = newest and clock_ms ~= '' and newest > tonumber(clock_ms)
  if wrong then note_ahead(redis.call('HGET', state, 'max:' .. partition)) end
  if not newest or newest < tonumber(newest_ms) or wrong then
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
for i = 17, #ARGV, 2 do
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
