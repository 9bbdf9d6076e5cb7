-- Stores what all workers must have alike, if it is as the caller read it.
-- KEYS: setup, state of shard 0
-- ARGV: content as read ('' if there was none) · new content · '1' if the change to it is not complete
-- Returns 1, or 0 if it has changed.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[2], 'setup-changing', '1')
else
  redis.call('HDEL', KEYS[2], 'setup-changing')
end
return 1
