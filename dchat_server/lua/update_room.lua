-- Change a room's topic, display name or archive flag. ARGV: now, room prefix, room name, actor, idempotency key,
-- ttl, roles that may (commas), '1' when the actor is a server administrator, event body, then field, value pairs.
-- Returns {status, seq}: `ok`, `behind` (ask the archive first) or the code of a refusal.

local now, prefix, name, actor, key, ttl = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local room = room_at(prefix)
if lacking(prefix) then return {'behind', 0} end
if not room then return {'room_not_found', 0} end
local role = redis.call('HGET', prefix .. ':members', actor)
if not role and room.kind ~= 'public' then return {'room_not_found', 0} end
if done_before(key) then return {'ok', room.head} end
if ARGV[8] ~= '1' then
  if not role then return {'not_a_member', 0} end
  if not string.find(',' .. ARGV[7] .. ',', ',' .. role .. ',', 1, true) then return {'forbidden', 0} end
end
for i = 10, #ARGV, 2 do
  redis.call('HSET', prefix .. ':meta', ARGV[i], ARGV[i + 1])
end
append(room, name, 'room', ARGV[9], now)
remember(key, ttl, 'update', room)
commit()
return {'ok', room.head}
