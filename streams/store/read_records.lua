-- Reads order records. The bucket keys are computed here: all have the hash tag of the given key.
-- KEYS: common prefix of the buckets · ARGV: 12 bytes per order: bucket (4, big-endian), field (8)
-- Returns the index, from 0, and the record of each order that has one.
local held = {}
for at = 1, #ARGV[1], 12 do
  local bucket, field = struct.unpack('>I4c8', ARGV[1], at)
  local record = redis.call('HGET', string.format('%s:%x', KEYS[1], bucket), field)
  if record then
    held[#held + 1] = (at - 1) / 12
    held[#held + 1] = record
  end
end
return held
