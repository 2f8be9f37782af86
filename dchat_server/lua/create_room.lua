-- Create a room with its first members. ARGV: now, room prefix, room name, creator, idempotency key, ttl, kind,
-- topic, display name, index key (sorted set of public rooms; empty for others), room event body, '1' when the archive
-- was asked and knows no such room, then pairs: member, role, body of the member event.
-- Returns {status, head}: `ok`, `room_taken` or `behind` (ask the archive first). A repeat under the same key answers
-- `ok` again.

local now, prefix, name, creator, key, ttl = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

if room_at(prefix) then
  if done_before(key) then return {'ok', loaded[prefix].head} end
  return {'room_taken', 0}
end
if BEHIND and ARGV[12] ~= '1' then return {'behind', 0} end
redis.call('HSET', prefix .. ':meta', 'kind', ARGV[7], 'topic', ARGV[8], 'display_name', ARGV[9], 'created', now,
           'creator', creator, 'archived', '0', 'head', 0, 'n', 0, 'ts', 0, 'epoch', EPOCH, 'epochs', EPOCH .. ':1',
           'f', 0)
loaded[prefix] = nil
local room = room_at(prefix)
append(room, name, 'room', ARGV[11], now)
for i = 13, #ARGV, 3 do
  redis.call('HSET', prefix .. ':members', ARGV[i], ARGV[i + 1])
  append(room, name, 'member', ARGV[i + 2], now)
end
if ARGV[10] ~= '' then redis.call('ZADD', ARGV[10], 0, name) end
remember(key, ttl, 'create', room)
commit()
return {'ok', room.head}
