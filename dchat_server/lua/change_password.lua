-- Replace the password hash, and revoke what was signed in with the old one.
-- ARGV: account, list of its tokens, prefix of token records, user name, old hash, new hash, '1' to revoke,
--       digest of the token that stays
-- Returns 1; 0 when the hash is not the old one any more. A repeat finds the new hash there and answers 1.

local stored = redis.call('HGET', ARGV[1], 'password')
if stored == ARGV[6] then return 1 end
if stored ~= ARGV[5] then return 0 end
redis.call('HSET', ARGV[1], 'password', ARGV[6])
if ARGV[7] == '1' then
  local gone, list = {}, redis.call('HGETALL', ARGV[2])
  for i = 1, #list, 2 do
    local digest = cjson.decode(list[i + 1]).digest
    if digest ~= ARGV[8] then
      redis.call('HDEL', ARGV[2], list[i])
      redis.call('DEL', ARGV[3] .. digest)
      gone[#gone + 1] = '"' .. digest .. '"'
    end
  end
  if #gone > 0 then announce('revoke', ARGV[4], '{"digests":[' .. table.concat(gone, ',') .. ']}') end
end
-- To be saved, see lua/user_saved.lua.
redis.call('HSET', string.sub(KEYS[1], 1, -5) .. 'changed', ARGV[4], redis.call('HINCRBY', ARGV[1], 'version', 1))
redis.call('SADD', string.sub(KEYS[1], 1, -5) .. 'changed:first', ARGV[4])
commit()
return 1
