-- Some parts of some blocks, in one answer.
-- KEYS: blocks · ARGV: for each key the name of a part · Returns for each its content, or nil.
local held = {}
for i = 1, #KEYS do held[i] = redis.call('HGET', KEYS[i], ARGV[i]) end
return held
