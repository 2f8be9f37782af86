-- Change an account's fields and make every worker look its tokens up again.
-- ARGV: account, list of its tokens, user name, field, value, …
-- Returns the account's fields and values, or nil when there is none. A repeat sets the same again.

if redis.call('EXISTS', ARGV[1]) == 0 then return false end
redis.call('HSET', ARGV[1], unpack(ARGV, 4))
local digests = {}
for _, facts in ipairs(redis.call('HVALS', ARGV[2])) do
  digests[#digests + 1] = '"' .. cjson.decode(facts).digest .. '"'
end
announce('account', ARGV[3], '{"digests":[' .. table.concat(digests, ',') .. ']}')
-- To be saved, see lua/user_saved.lua.
redis.call('HSET', string.sub(KEYS[1], 1, -5) .. 'changed', ARGV[3], redis.call('HINCRBY', ARGV[1], 'version', 1))
redis.call('SADD', string.sub(KEYS[1], 1, -5) .. 'changed:first', ARGV[3])
commit()
return redis.call('HGETALL', ARGV[1])
