-- Make a person's record at least as new as the archive has it, after this server lost data. Repeatable; takes nothing
-- away that is newer.
-- ARGV: epoch under which the archive was asked, account (the prefix of the person's keys), index of users, prefix of
--       token records, user name, record (JSON: account, tokens, rooms, markers; see UserRecord)
-- Returns 1; 0 when the epoch is another one by now, for then the archive may know more: ask it again.
--
-- `version` of the account rises with each change, and is at least EPOCH * 1e6 once the record was compared with the
-- archive's in this epoch: whoever changes something afterwards changes the newest there is.

if ARGV[1] ~= EPOCH then return 0 end
local account, index, prefix, user = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local list, rooms, markers = account .. ':tokens', account .. ':rooms', account .. ':read'
local record = cjson.decode(ARGV[6])
local there = redis.call('EXISTS', account) == 1
local version = tonumber(redis.call('HGET', account, 'version') or 0)

if not there or tonumber(record.account.version or 0) > version then
  local known, gone = {}, {}
  if there then
    -- The server came back without its last changes. A token that the archive has not any more was revoked in them.
    local entries = redis.call('HGETALL', list)
    for i = 1, #entries, 2 do
      local digest = cjson.decode(entries[i + 1]).digest
      redis.call('DEL', prefix .. digest)
      if not record.tokens[entries[i]] then gone[#gone + 1] = '"' .. digest .. '"' end
    end
    redis.call('DEL', account, list)
  end
  for field, value in pairs(record.account) do redis.call('HSET', account, field, value) end
  for id, facts in pairs(record.tokens) do
    local token = cjson.decode(facts)
    local expires = type(token.expires_at) == 'number' and string.format('%.0f', token.expires_at) or ''
    known[#known + 1] = '"' .. token.digest .. '"'
    redis.call('HSET', list, id, facts)
    redis.call('HSET', prefix .. token.digest, 'user', user, 'account', account, 'id', id, 'kind', token.kind,
               'scopes', table.concat(token.scopes, ','), 'expires', expires)
    if expires ~= '' then redis.call('PEXPIREAT', prefix .. token.digest, expires) end
  end
  -- Rooms and markers may be there before the account is: see lua/join_set.lua.
  for _, room in ipairs(record.rooms) do redis.call('SADD', rooms, room) end
  for room, marker in pairs(record.markers) do
    local present = redis.call('HGET', markers, room)
    if not present or tonumber(string.match(present, '^%d+')) < tonumber(string.match(marker, '^%d+')) then
      redis.call('HSET', markers, room, marker)
    end
  end
  redis.call('ZADD', index, 0, user)
  if there then
    if #gone > 0 then announce('revoke', user, '{"digests":[' .. table.concat(gone, ',') .. ']}') end
    announce('account', user, '{"digests":[' .. table.concat(known, ',') .. ']}')
    commit()
  end
  version = tonumber(record.account.version or 0)
end

if version < EPOCH * 1e6 then redis.call('HSET', account, 'version', EPOCH .. '000000') end
return 1
