-- Tell every worker something on behalf of an operator or of the leader. ARGV: kind, facts (JSON), fence ('0': anybody
-- may say it). Returns {1, feed offset}, or {0, highest fence seen} when a later term has begun. A repeat tells it again:
-- what is told must be harmless twice.

if ARGV[3] ~= '0' and not fence_holds(ARGV[3]) then return {0, redis.call('HGET', KEYS[2], 'fence')} end
announce(ARGV[1], '', ARGV[2])
commit()
return {1, tostring(feed_head)}
