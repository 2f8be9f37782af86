-- End tokens at once and tell every worker. ARGV: list of the user's tokens, prefix of token records, user name,
-- token id, … Returns how many there still were; a repeat finds none and announces nothing.

local gone = {}
for i = 4, #ARGV do
  local facts = redis.call('HGET', ARGV[1], ARGV[i])
  if facts then
    local digest = cjson.decode(facts).digest
    redis.call('HDEL', ARGV[1], ARGV[i])
    redis.call('DEL', ARGV[2] .. digest)
    gone[#gone + 1] = '"' .. digest .. '"'
  end
end
if #gone > 0 then
  announce('revoke', ARGV[3], '{"digests":[' .. table.concat(gone, ',') .. ']}')
  commit()
end
return #gone
