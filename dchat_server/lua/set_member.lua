-- Let somebody in, change a role, or let somebody go. ARGV: now, room prefix, room name, actor, idempotency key,
-- ttl, user, action (join|invite|role|leave|kick), role (empty for leave and kick), roles of the actor that may
-- (commas; empty: anybody, used for join and leave), roles of the user it may be done to (commas; empty: any),
-- '1' when the actor is a server administrator, most members, event body.
-- Returns {status, role}: `ok`, `unchanged` (it was so already: no event), `behind` (ask the archive first) or the code of
-- a refusal.

local now, prefix, name, actor, key, ttl = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local user, action, role = ARGV[7], ARGV[8], ARGV[9]
local members = prefix .. ':members'

local function among(value, list)
  return list == '' or string.find(',' .. list .. ',', ',' .. value .. ',', 1, true)
end

local room = room_at(prefix)
if lacking(prefix) then return {'behind', ''} end
if not room then return {'room_not_found', ''} end
local mine = redis.call('HGET', members, actor)
if not mine and room.kind ~= 'public' then
  if done_before(key) then return {'ok', ''} end
  return {'room_not_found', ''}
end
if done_before(key) then return {'ok', redis.call('HGET', members, user) or ''} end
if ARGV[10] ~= '' and ARGV[12] ~= '1' then
  if not mine then return {'not_a_member', ''} end
  if not among(mine, ARGV[10]) then return {'forbidden', ''} end
end

local theirs = redis.call('HGET', members, user)
if action == 'leave' or action == 'kick' then
  if not theirs then return {'unchanged', ''} end
  if ARGV[12] ~= '1' and not among(theirs, ARGV[11]) then return {'forbidden', ''} end
  redis.call('HDEL', members, user)
else
  if room.archived and action ~= 'role' then return {'room_archived', ''} end
  if theirs and action ~= 'role' then return {'unchanged', theirs} end
  if not theirs and action == 'role' then return {'unchanged', ''} end  -- gone since the worker looked
  if theirs == role then return {'unchanged', theirs} end
  if theirs and ARGV[12] ~= '1' and not among(theirs, ARGV[11]) then return {'forbidden', ''} end
  if not theirs and redis.call('HLEN', members) >= tonumber(ARGV[13]) then return {'forbidden', ''} end
  redis.call('HSET', members, user, role)
end
append(room, name, 'member', ARGV[14], now)
remember(key, ttl, action, room)
commit()
return {'ok', role}
