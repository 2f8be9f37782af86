-- Make an account. ARGV: account, index of users, user name, request, epoch under which the archive was asked for this
-- name (or empty), field, value, …
-- Returns {1}, {0} when the name is taken, or {-1, epoch} when the archive has to be asked first: the shard lost data,
-- and the name may be taken there. The request that made an account is kept in it: a repeat answers 1 again.

local account, user = ARGV[1], ARGV[3]
if redis.call('EXISTS', account) == 1 then
  return {redis.call('HGET', account, 'request') == ARGV[4] and 1 or 0}
end
if BEHIND and ARGV[5] ~= EPOCH then return {-1, EPOCH} end
local version = EPOCH .. '000000'
redis.call('HSET', account, 'request', ARGV[4], 'version', version, unpack(ARGV, 6))
redis.call('ZADD', ARGV[2], 0, user)
redis.call('HSET', string.sub(KEYS[1], 1, -5) .. 'changed', user, version)
redis.call('SADD', string.sub(KEYS[1], 1, -5) .. 'changed:first', user)
return {1}
