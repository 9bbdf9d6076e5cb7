-- Sets a partition to another position, where its topic was made anew or lost what came next. All of its log must be rolled.
-- Event ids stay, under entry ids below those of all new positions: what is sent again to a new topic is a repeat.
-- KEYS: state, log, ids
-- ARGV: partition, position, new position, event time from which on the history has a hole
-- Returns 'ok', or the position found.
local position = redis.call('HGET', KEYS[1], 'pos:' .. ARGV[1]) or ''
local rolled = redis.call('HGET', KEYS[1], 'rolled:' .. ARGV[1]) or ''
if position ~= ARGV[2] or rolled ~= ARGV[2] then return position end
local ids = redis.call('XRANGE', KEYS[3], '-', '+')
redis.call('DEL', KEYS[2], KEYS[3])
for i, entry in ipairs(ids) do redis.call('XADD', KEYS[3], '0-' .. i, unpack(entry[2])) end
redis.call('HSET', KEYS[1], 'pos:' .. ARGV[1], ARGV[3], 'rolled:' .. ARGV[1], ARGV[3], 'incomplete:' .. ARGV[1], ARGV[4])
return 'ok'
