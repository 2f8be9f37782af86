-- Make an account. KEYS[1] account, KEYS[2] the shard's index of users. ARGV: user name, request, field, value, …
-- Returns 1, or 0 when the name is taken. The request that made an account is kept in it: a repeat answers 1 again.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return redis.call('HGET', KEYS[1], 'request') == ARGV[2] and 1 or 0
end
redis.call('HSET', KEYS[1], 'request', ARGV[2], unpack(ARGV, 3))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
