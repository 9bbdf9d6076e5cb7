-- Sets which workers may count in a shard: those with this token, which begins with its generation.
-- KEYS: state
-- ARGV: token
-- Returns the newest event time that was counted in the shard, epoch ms, '0' if there is none; or 'superseded' if the shard
-- has a later generation.
local state, token = KEYS[1], ARGV[1]
local present = redis.call('HGET', state, 'setup')
if present and tonumber(string.match(present, '^%d+')) > tonumber(string.match(token, '^%d+')) then return 'superseded' end
redis.call('HSET', state, 'setup', token)
local newest, fields = '0', redis.call('HGETALL', state)
for i = 1, #fields, 2 do
  local kind = string.sub(fields[i], 1, 4)
  if (kind == 'max:' or kind == 'top:') and tonumber(fields[i + 1]) > tonumber(newest) then newest = fields[i + 1] end
end
return newest
