-- Make a room at least as new as the archive has it, after this server lost data. Repeatable; takes nothing away that
-- is newer than the archive.
-- ARGV: the epoch that held before the archive was asked, room prefix, room name, index key (sorted set of public rooms; empty for others), watermark (0: the archive does
--       not know the room), floor, epochs, time (ms), messages, feed offset, then four lists, each behind its length:
--       facts (field, value), members (user, role), posted (user, place), deleted (seq); then mentions (user, seq) to
--       the end
-- Returns the room's head; 0 when there is no such room here either; -1 when another epoch holds now: data was lost once
-- more, and what the archive said may be old.

if table.remove(ARGV, 1) ~= EPOCH then return -1 end
local prefix, name, watermark = ARGV[1], ARGV[2], tonumber(ARGV[4])
local meta = prefix .. ':meta'
local room = room_at(prefix)

if not room or room.head < watermark then
  if watermark == 0 then return 0 end
  -- What is left of an older state goes: the archive has all of it, and more.
  for _, target in ipairs(redis.call('ZRANGE', prefix .. ':touched', 0, -1)) do
    redis.call('DEL', prefix .. ':msg:' .. target)
  end
  for _, user in ipairs(redis.call('HKEYS', prefix .. ':members')) do
    redis.call('DEL', prefix .. ':mentions:' .. user)
  end
  redis.call('DEL', prefix .. ':touched', prefix .. ':log', prefix .. ':members', prefix .. ':posted',
             prefix .. ':deleted', meta)
  redis.call('HSET', meta, 'head', ARGV[4], 'w', ARGV[4], 'floor', ARGV[5], 'epochs', ARGV[6], 'epoch', '0',
             'ts', ARGV[7], 'n', ARGV[8], 'f', ARGV[9], 'cut', ARGV[4] .. ' ' .. ARGV[9] .. ' ' .. ARGV[7])
  local at = 10
  local function list()
    local from, to = at + 1, at + tonumber(ARGV[at])
    at = to + 1
    return from, to
  end
  local from, to = list()
  for i = from, to, 2 do redis.call('HSET', meta, ARGV[i], ARGV[i + 1]) end
  from, to = list()
  for i = from, to, 2 do redis.call('HSET', prefix .. ':members', ARGV[i], ARGV[i + 1]) end
  from, to = list()
  for i = from, to, 2 do redis.call('HSET', prefix .. ':posted', ARGV[i], ARGV[i + 1]) end
  from, to = list()
  for i = from, to do redis.call('ZADD', prefix .. ':deleted', ARGV[i], ARGV[i]) end
  for i = at, #ARGV, 2 do redis.call('ZADD', prefix .. ':mentions:' .. ARGV[i], ARGV[i + 1], ARGV[i + 1]) end
  if ARGV[3] ~= '' then redis.call('ZADD', ARGV[3], 0, name) end
  loaded[prefix] = nil
  room = room_at(prefix)
elseif watermark > tonumber(redis.call('HGET', meta, 'w') or 0) then
  redis.call('HSET', meta, 'w', ARGV[4])
end
if room.epoch ~= EPOCH then
  -- From here on it is known to be whole: what comes next is written under this epoch.
  redis.call('HSET', meta, 'epoch', EPOCH, 'epochs', room.epochs .. ' ' .. EPOCH .. ':' .. (room.head + 1))
end
return room.head
