#!lua flags=allow-oom
-- Replace what a worker said of itself. KEYS[1] the board. ARGV: worker, its facts (JSON), how long a word holds (ms).
-- Times are this server's, so that the workers' clocks do not matter. Repeatable.
--
-- Also with no memory left (allow-oom): what is written replaces what was there, and operators need it then.
--
-- Workers that are gone are taken down by the leader. Where nobody leads, the board must not grow all the same.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], 3600000)
if redis.call('HLEN', KEYS[1]) > 200 then
  local entries = redis.call('HGETALL', KEYS[1])
  for i = 1, #entries, 2 do
    local at = tonumber(string.match(entries[i + 1], '^%d+'))
    if at < now - tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], entries[i]) end
  end
end
return 1
