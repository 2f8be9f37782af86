-- Tell every worker something on behalf of an operator or of the leader. ARGV: kind, facts (JSON), fence ('0': anybody
-- may say it). Returns {1, feed offset}, or {0, highest fence seen} when a later term has begun. A repeat tells it again:
-- what is told must be harmless twice.

local fence, highest = ARGV[3], redis.call('HGET', KEYS[2], 'fence') or '0'

if fence ~= '0' then
  if #fence < #highest or (#fence == #highest and fence < highest) then return {0, highest} end
  if fence ~= highest then redis.call('HSET', KEYS[2], 'fence', fence) end
end
announce(ARGV[1], '', ARGV[2])
commit()
return {1, tostring(feed_head)}
