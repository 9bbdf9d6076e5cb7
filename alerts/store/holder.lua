-- KEYS: lead · Returns the leader's name, '' if the lease was released or never taken, nil if it expired.
local held = redis.call('HMGET', KEYS[1], 'owner', 'until')
if not held[1] or held[2] == '0' then return '' end
local time = redis.call('TIME')
if tonumber(held[2]) <= time[1] * 1000 + math.floor(time[2] / 1000) then return false end
return held[1]
