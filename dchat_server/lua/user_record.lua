-- Everything that is kept of a person, at one moment. Reads only. KEYS: account, list of tokens, rooms, markers.
-- ARGV: prefix of token records. Returns {account, tokens, rooms, markers}, hashes as field, value, …; nil when there
-- is no such person. Tokens that have expired are left out.

local account = redis.call('HGETALL', KEYS[1])
if #account == 0 then return false end
local tokens, list = {}, redis.call('HGETALL', KEYS[2])
for i = 1, #list, 2 do
  if redis.call('EXISTS', ARGV[1] .. cjson.decode(list[i + 1]).digest) == 1 then
    tokens[#tokens + 1] = list[i]
    tokens[#tokens + 1] = list[i + 1]
  end
end
return {account, tokens, redis.call('SMEMBERS', KEYS[3]), redis.call('HGETALL', KEYS[4])}
