-- Writes what one evaluation comes to, all of it or nothing: states, changes, and notices on their way.
-- Only for who leads, and only if the states are those that it worked from.
-- KEYS: lead, states, changes, acks, then outbox and due of each receiver that is told something
-- ARGV: owner, epoch, version, lease ms, work (MessagePack: set {fingerprint, JSON, ...}, gone {fingerprint, ...},
--       changes {fingerprint, JSON, ...}, notices {place of the receiver, id, JSON, due ms, ...}), most changes kept
-- Returns 'ok', 'deposed' (another one leads), or 'moved' (the states are others).
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'version')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 'deposed' end
if held[3] ~= ARGV[3] then return 'moved' end
local work = cmsgpack.unpack(ARGV[5])
local set, gone, changes, notices = work[1], work[2], work[3], work[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #set, 2 do redis.call('HSET', KEYS[2], set[i], set[i + 1]) end
for i = 1, #gone do
  redis.call('HDEL', KEYS[2], gone[i])
  redis.call('HDEL', KEYS[4], gone[i])
end
for i = 1, #changes, 2 do
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'fingerprint', changes[i], 'json', changes[i + 1])
end
for i = 1, #notices, 4 do
  local at = 5 + 2 * notices[i]
  redis.call('HSET', KEYS[at], notices[i + 1], notices[i + 2])
  redis.call('ZADD', KEYS[at + 1], notices[i + 3], notices[i + 1])
end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[4]), 'version', tostring(ARGV[3] + 1))
return 'ok'
