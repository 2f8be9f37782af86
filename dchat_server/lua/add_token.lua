-- Store a token: its record, found by digest, and its entry in the user's list, found by id.
-- ARGV: account, list of its tokens, prefix of token records, user name, token id, digest, facts (JSON), kind,
--       scopes (commas), expires at (ms; empty: never), most tokens of this kind, password hash that must still hold
--       (or empty), digest of the token that makes this one and must still live (or empty)
-- Returns `ok`, `too_many` or `stale`. A repeat stores the same again.
--
-- A sign-in is never refused for too many sessions: the oldest one ends, which every worker is told.

local account, list, prefix, id, digest, kind = ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[6], ARGV[8]

local password = redis.call('HGET', account, 'password')
if not password or (ARGV[12] ~= '' and ARGV[12] ~= password) then return 'stale' end
if ARGV[13] ~= '' and redis.call('EXISTS', prefix .. ARGV[13]) == 0 then return 'stale' end

if redis.call('HEXISTS', list, id) == 0 then
  local alive, entries = {}, redis.call('HGETALL', list)
  for i = 1, #entries, 2 do
    local facts = cjson.decode(entries[i + 1])
    if redis.call('EXISTS', prefix .. facts.digest) == 0 then
      redis.call('HDEL', list, entries[i])
    elseif facts.kind == kind then
      alive[#alive + 1] = {id = entries[i], digest = facts.digest, created = facts.created_at}
    end
  end
  local over = #alive - tonumber(ARGV[11]) + 1
  if over > 0 then
    if kind ~= 'session' then return 'too_many' end
    table.sort(alive, function(a, b)
      if a.created ~= b.created then return a.created < b.created end
      return a.id < b.id
    end)
    local gone = {}
    for i = 1, over do
      redis.call('HDEL', list, alive[i].id)
      redis.call('DEL', prefix .. alive[i].digest)
      gone[i] = '"' .. alive[i].digest .. '"'
    end
    announce('revoke', ARGV[4], '{"digests":[' .. table.concat(gone, ',') .. ']}')
  end
end

redis.call('HSET', list, id, ARGV[7])
redis.call('HSET', prefix .. digest, 'user', ARGV[4], 'account', account, 'id', id, 'kind', kind, 'scopes', ARGV[9],
           'expires', ARGV[10])
if ARGV[10] ~= '' then redis.call('PEXPIREAT', prefix .. digest, ARGV[10]) end
-- To be saved, see lua/user_saved.lua.
redis.call('HSET', string.sub(KEYS[1], 1, -5) .. 'changed', ARGV[4], redis.call('HINCRBY', ARGV[1], 'version', 1))
redis.call('SADD', string.sub(KEYS[1], 1, -5) .. 'changed:first', ARGV[4])
commit()
return 'ok'
