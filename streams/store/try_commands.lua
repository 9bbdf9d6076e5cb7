-- Tries each command that counting uses in a form that changes nothing, to detect missing permissions.
-- KEYS: a key that never exists, state
local none, state = KEYS[1], KEYS[2]
for _, command in ipairs({
  { 'TIME' },
  { 'GET', none },
  { 'SET', none, '', 'XX' },
  { 'DEL', none },
  { 'UNLINK', none },
  { 'EXPIRE', none, 1, 'GT' },
  { 'HGET', none, 'f' },
  { 'HMGET', none, 'f' },
  { 'HGETALL', none },
  { 'HVALS', none },
  { 'HKEYS', none },
  { 'HLEN', none },
  { 'HSTRLEN', none, 'f' },
  { 'HEXISTS', none, 'f' },
  { 'HDEL', none, 'f' },
  { 'XRANGE', none, '-', '+' },
  { 'XADD', none, 'NOMKSTREAM', '*', 'f', '' },
  { 'XTRIM', none, 'MAXLEN', 0 },
  { 'ZADD', none, 'XX', 1, 'm' },
  { 'ZREM', none, 'm' },
  { 'ZRANGEBYSCORE', none, 1, 1 },
}) do
  redis.call(unpack(command))
end
-- These commands write whenever they succeed, so send invalid forms: a missing permission gives another error.
for _, command in ipairs({ { 'HSET', none, 'f', 'v', 'odd' }, { 'HINCRBY', none, 'f', 'no number' } }) do
  local answer = redis.pcall(unpack(command))
  local why = type(answer) == 'table' and answer.err or ''
  if not string.find(why, 'wrong number') and not string.find(why, 'not an integer') then return redis.error_reply(why) end
end
if redis.call('HEXISTS', state, 'epoch') == 1 then redis.call('HSETNX', state, 'epoch', '') end
return 'ok'
