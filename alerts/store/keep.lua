-- Stores the evaluation memory, or the states of the rules, if the caller leads.
-- KEYS: lead, what is stored · ARGV: owner, epoch, value · Returns 1, or 0 if another process leads.
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[3])
return 1
