-- End tokens at once and tell every worker. ARGV: account, list of its tokens, prefix of token records, user name,
-- token id, … Returns how many there still were; a repeat finds none and announces nothing.

local gone = {}
for i = 5, #ARGV do
  local facts = redis.call('HGET', ARGV[2], ARGV[i])
  if facts then
    local digest = cjson.decode(facts).digest
    redis.call('HDEL', ARGV[2], ARGV[i])
    redis.call('DEL', ARGV[3] .. digest)
    gone[#gone + 1] = '"' .. digest .. '"'
  end
end
if #gone > 0 then
  announce('revoke', ARGV[4], '{"digests":[' .. table.concat(gone, ',') .. ']}')
  -- To be saved, see lua/user_saved.lua.
  redis.call('HSET', string.sub(KEYS[1], 1, -5) .. 'changed', ARGV[4], redis.call('HINCRBY', ARGV[1], 'version', 1))
  redis.call('SADD', string.sub(KEYS[1], 1, -5) .. 'changed:first', ARGV[4])
  commit()
end
return #gone
