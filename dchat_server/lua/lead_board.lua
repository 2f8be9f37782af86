#!lua flags=allow-oom
-- What only the leader may write on the board. KEYS: the shard's state, the board, the leader's report.
-- ARGV: fence, the report (JSON; '' leaves it), then the workers to take down. Repeatable.
-- Returns {1, fence}, or {0, highest fence seen} when that is a later term's; nothing was changed then.
--
-- Fences are compared as text, because Lua's numbers are exact up to 2^53 only.

local fence, seen = ARGV[1], redis.call('HMGET', KEYS[1], 'fence', 'epoch')
local highest = seen[1] or '0'

if #fence < #highest or (#fence == #highest and fence < highest) then return {0, highest} end
-- A shard without an epoch has lost everything and is not open yet; it must not look as if it had a state.
if fence ~= highest and seen[2] then redis.call('HSET', KEYS[1], 'fence', fence) end

if ARGV[2] ~= '' then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('SET', KEYS[3], string.format('%.0f', now) .. ' ' .. ARGV[2])
end
for i = 3, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return {1, fence}
