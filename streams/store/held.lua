-- One partition's content of many blocks, in one answer.
-- KEYS: blocks · ARGV: partition · Returns for each key its content, or nil.
local held = {}
for i = 1, #KEYS do held[i] = redis.call('HGET', KEYS[i], ARGV[1]) end
return held
