-- Records of some orders. Their buckets are named here: all of them have the hash tag of the key that is given.
-- KEYS: the buckets' common beginning · ARGV: the orders, 12 bytes each: bucket (4, big-endian), field (8)
-- Returns for each order that has one its place, from 0, and its record.
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
