-- Reads one part of each block in one reply.
-- KEYS: blocks · ARGV: the name of a part of each · Returns the content of each, or nil.
local held = {}
for i = 1, #KEYS do held[i] = redis.call('HGET', KEYS[i], ARGV[i]) end
return held
