-- The archive has a person's record as it was at `version`, or later. ARGV: fence, user name, version.
-- Returns {`ok`} or {`fenced`, highest fence seen}. Repeatable.
--
-- Every script that changes a person's record raises `version` in the account and writes it into the hash :changed
-- (user → version), in the same step. It never comes back to a value it had: a repeat of this that arrives late takes
-- away no later mark. The set :changed:first names those among them whose account or tokens changed.

if not fence_holds(ARGV[1]) then return {'fenced', redis.call('HGET', KEYS[2], 'fence')} end
local changed = string.sub(KEYS[1], 1, -5) .. 'changed'
if redis.call('HGET', changed, ARGV[2]) == ARGV[3] then
  redis.call('HDEL', changed, ARGV[2])
  redis.call('SREM', changed .. ':first', ARGV[2])
end
return {'ok'}
