-- Deletes records of orders that are still what they were read as.
-- KEYS: bucket · ARGV: for each record its field and what it was read as · Returns how many were deleted.
local deleted = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then deleted = deleted + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return deleted
