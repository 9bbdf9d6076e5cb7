-- Applies one batch of one partition, results and position together, if and only if it follows what was applied before.
-- Records of orders are written by compare-and-set: another partition may have told something of them meanwhile.
-- KEYS: state, log, ids, totals, the common beginning of the records' buckets
-- ARGV: partition, follows, next, first ('1': the caller found no position), newest ts or '', now ms, delta or '',
--       hashes or '', oldest ts of the hashes, newest ts of the hashes, epoch for a new store,
--       records, one after the other: bucket (4 bytes, big-endian), field (8), what it was read as or nothing, what it
--       becomes (each after its length in 2 bytes),
--       then for each total its name and what to add
-- Returns 'ok', 'read again' when a record is not what it was, or the position to go to ('' when there is none).
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1])
if position then
  if position ~= ARGV[2] then return position end
elseif ARGV[4] ~= '1' then
  return ''
end
local records, at = {}, 1
while at <= #ARGV[12] do
  local bucket, field, before, after
  bucket, field, before, after, at = struct.unpack('>I4c8Hc0Hc0', ARGV[12], at)
  local key = string.format('%s:%x', KEYS[5], bucket)
  if (redis.call('HGET', key, field) or '') ~= before then return 'read again' end
  records[#records + 1] = { key, field, after }
end
-- First what could fail, were the log ahead of the position: then nothing is applied.
redis.call('XADD', KEYS[2], ARGV[3] .. '-0', 'f', ARGV[2], 'd', ARGV[7])
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[11])
redis.call('HSET', KEYS[1], 'pos:' .. ARGV[1], ARGV[3])
if not position then
  redis.call('HSET', KEYS[1], 'rolled:' .. ARGV[1], ARGV[2])
end
if ARGV[5] ~= '' then
  local newest = redis.call('HGET', KEYS[1], 'max:' .. ARGV[1])
  if not newest or tonumber(newest) < tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[1], 'max:' .. ARGV[1], ARGV[5])
  end
  redis.call('HSET', KEYS[1], 'new:' .. ARGV[1], ARGV[6])
end
if ARGV[8] ~= '' then
  redis.call('XADD', KEYS[3], ARGV[3] .. '-0', 'h', ARGV[8], 'o', ARGV[9], 'n', ARGV[10])
end
for _, record in ipairs(records) do redis.call('HSET', record[1], record[2], record[3]) end
for i = 13, #ARGV, 2 do redis.call('HINCRBY', KEYS[4], ARGV[i], ARGV[i + 1]) end
return 'ok'
