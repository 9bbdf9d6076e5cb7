-- KEYS: lead · Returns the leader's name, '' if the lease is free.
local held = redis.call('HMGET', KEYS[1], 'owner', 'until')
local time = redis.call('TIME')
if not held[1] or tonumber(held[2] or '0') <= time[1] * 1000 + math.floor(time[2] / 1000) then return '' end
return held[1]
