-- Deletes order records that have not changed since they were read.
-- KEYS: bucket · ARGV: field and content of each record · Returns the number deleted.
local deleted = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then deleted = deleted + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return deleted
