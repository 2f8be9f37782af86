-- Say how many streams users have open on a worker. Each key is one user's hash: worker → "count until" (ms).
-- ARGV: worker, time a count holds (ms), limit over all workers (0: none), then a count for each key.
-- Returns for each key 1, or 0 when the limit forbids it and nothing was changed. Counts are absolute: repeatable.
-- What a dead worker said is over by itself.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local hold, limit, out = tonumber(ARGV[2]), tonumber(ARGV[3]), {}

for i, key in ipairs(KEYS) do
  local count, sum = tonumber(ARGV[3 + i]), 0
  if limit > 0 then
    local entries = redis.call('HGETALL', key)
    for j = 1, #entries, 2 do
      local streams, ends = string.match(entries[j + 1], '^(%d+) (%d+)$')
      if tonumber(ends) <= now then
        redis.call('HDEL', key, entries[j])
      elseif entries[j] ~= ARGV[1] then
        sum = sum + tonumber(streams)
      end
    end
  end
  if limit > 0 and sum + count > limit then
    out[i] = 0
  else
    if count == 0 then
      redis.call('HDEL', key, ARGV[1])
    else
      redis.call('HSET', key, ARGV[1], count .. ' ' .. string.format('%.0f', now + hold))
      redis.call('PEXPIRE', key, hold)
    end
    out[i] = 1
  end
end
return out
