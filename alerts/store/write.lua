-- Writes an evaluation atomically: states, changes and notices. Only for the leader, and only if the states have the
-- version that was evaluated.
-- KEYS: lead, states, changes, acks, then outbox and due of each receiver with notices or withdrawn ones
-- ARGV: owner, epoch, version, lease ms, work (MessagePack: set {fingerprint, JSON, ...}, removed {fingerprint, ...},
--       changes {fingerprint, JSON, ...}, notices {index of the receiver, id, JSON, due ms, ...},
--       withdrawn {index of the receiver, id, ...}), length of changes
-- Returns 'ok', 'deposed' (another process leads), or 'moved' (the states have another version, or a
-- withdrawn notice is gone).
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'version')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 'deposed' end
if held[3] ~= ARGV[3] then return 'moved' end
local work = cmsgpack.unpack(ARGV[5])
local set, removed, changes, notices, withdrawn = work[1], work[2], work[3], work[4], work[5]
for i = 1, #withdrawn, 2 do
  -- Sent already, so its end must be sent, too.
  if redis.call('HEXISTS', KEYS[5 + 2 * withdrawn[i]], withdrawn[i + 1]) == 0 then return 'moved' end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #set, 2 do redis.call('HSET', KEYS[2], set[i], set[i + 1]) end
for i = 1, #removed do
  redis.call('HDEL', KEYS[2], removed[i])
  redis.call('HDEL', KEYS[4], removed[i])
end
for i = 1, #changes, 2 do
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'fingerprint', changes[i], 'json', changes[i + 1])
end
for i = 1, #withdrawn, 2 do
  local at = 5 + 2 * withdrawn[i]
  redis.call('HDEL', KEYS[at], withdrawn[i + 1])
  redis.call('ZREM', KEYS[at + 1], withdrawn[i + 1])
end
for i = 1, #notices, 4 do
  local at = 5 + 2 * notices[i]
  redis.call('HSET', KEYS[at], notices[i + 1], notices[i + 2])
  redis.call('ZADD', KEYS[at + 1], notices[i + 3], notices[i + 1])
end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[4]), 'version', tostring(ARGV[3] + 1))
return 'ok'
