-- Take tokens out of a bucket that refills steadily (GCRA: the bucket is one number, the time at which it will be
-- full again). KEYS[1] the bucket. ARGV: count, spare, rate (tokens a second), burst, lease (µs).
-- Returns {granted, µs until there is another token (0: there is one)}. The server's clock alone counts.
--
-- Up to `spare` tokens more than needed are given when they are there; the worker may spend them within the lease. So
-- that a bucket which refills meanwhile does not let them through on top of a full burst, room is left for them: the
-- bucket is never fuller than burst - (spare ones given in this lease period and the one before).

local count, spare, burst, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local interval = 1000000 / tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local period = math.floor(now / lease)

local full, seen, lent, lent_before = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+) (%d+) (%d+)$')
full, seen, lent, lent_before = tonumber(full) or 0, tonumber(seen) or 0, tonumber(lent) or 0, tonumber(lent_before) or 0
if period == seen + 1 then
  lent, lent_before = 0, lent
elseif period ~= seen then
  lent, lent_before = 0, 0
end
local out = lent + lent_before

full = math.max(full, now + out * interval)
full = math.min(full, now + burst * interval) -- further away only when the clock was set back
local there = math.max(0, math.floor((now + burst * interval - full) / interval + 0.000001))
local granted = math.min(count, there)
if granted == count and spare > 0 then
  local extra = math.max(0, math.min(spare, there - granted, math.floor(burst / 2) - out))
  granted = granted + extra
  lent = lent + extra
end
full = full + granted * interval
redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f %.0f', full, period, lent, lent_before),
           'PX', string.format('%.0f', math.ceil((full - now + 2 * lease) / 1000)))
local wait = full + interval - burst * interval - now
return {granted, string.format('%.0f', math.max(0, math.ceil(wait)))}
