-- The facts of a user's tokens that are alive. KEYS[1] the list. ARGV: prefix of token records.
-- A record vanishes by itself when it expires; its entry here is cleared away on the way. Repeatable.

local alive, entries = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  if redis.call('EXISTS', ARGV[1] .. cjson.decode(entries[i + 1]).digest) == 1 then
    alive[#alive + 1] = entries[i + 1]
  else
    redis.call('HDEL', KEYS[1], entries[i])
  end
end
return alive
