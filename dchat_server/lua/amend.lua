-- Edit, delete or react to a message. The worker has read the message and knows its author; this script knows what
-- may have changed since: membership, the archive flag, the message's present state.
--
-- ARGV: now, room prefix, room name, actor, idempotency key, ttl, action (edit|delete|add|remove), target seq,
--       value (the new text as JSON, or the emoji), body, mentioned users (commas), roles that may act although they
--       are not the author (commas; empty when the actor is the author or reacts), largest number of emoji,
--       users that the text mentioned until now (commas), the watermark the worker knew before it read the message,
--       then field, value, …: the state the message has in the archive
-- Returns {status, seq, ts, epoch}; status `ok`, `unchanged` (nothing to do: no event), `moved` (the room was archived
-- further meanwhile: read the message again), `behind` (ask the archive first) or the code of a refusal.
--
-- The state of a message that was touched lives in the hash <prefix>:msg:<seq>: text, edited (ms), deleted, a field
-- `r <emoji> <user>` a reaction, and `s`, the seq of the last event that touched it. <prefix>:touched (sorted by seq)
-- says which messages have one. Once the archive has it folded in, and the message has left the log, the hash goes
-- (archived.lua); who touches the message again brings its state along.

local now, prefix, name, actor = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local key, ttl, action, target, value, body = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local mentions, others, most_emoji = ARGV[11], ARGV[12], tonumber(ARGV[13])

local room = room_at(prefix)
if lacking(prefix) then return {'behind', 0, 0, 0} end
if not room then return {'room_not_found', 0, 0, 0} end
now = math.max(now, room.ts)  -- the time of the event: what is folded into the archive has that, too
local role = redis.call('HGET', prefix .. ':members', actor)
if not role then return {room.kind == 'public' and 'not_a_member' or 'room_not_found', 0, 0, 0} end
local before = done_before(key)
if before then return {'ok', before[2], before[3], before[4]} end
if role == 'reader' then return {'read_only', 0, 0, 0} end
if room.archived then return {'room_archived', 0, 0, 0} end
if others ~= '' and not string.find(',' .. others .. ',', ',' .. role .. ',', 1, true) then
  return {'forbidden', 0, 0, 0}
end

local state = prefix .. ':msg:' .. target
local base, deleted
if redis.call('EXISTS', state) == 0 then
  local watermark = redis.call('HGET', prefix .. ':meta', 'w') or '0'
  if tonumber(target) <= tonumber(watermark) and watermark ~= ARGV[15] then return {'moved', 0, 0, 0} end
  base = {}
  for i = 16, #ARGV, 2 do base[ARGV[i]] = ARGV[i + 1] end
  deleted = base['deleted']
else
  deleted = redis.call('HGET', state, 'deleted')
end
if deleted then
  if action == 'delete' then return {'unchanged', 0, 0, 0} end
  return {'message_deleted', 0, 0, 0}
end

-- Put what the archive holds in place. Called once nothing can be refused any more.
local function install()
  if base then
    for field, value in pairs(base) do redis.call('HSET', state, field, value) end
  end
end

local kind = 'reaction'
if action == 'edit' then
  kind = 'edit'
  install()
  redis.call('HSET', state, 'text', value, 'edited', math.max(now, room.ts))
  for user in string.gmatch(ARGV[14], '[^,]+') do
    redis.call('ZREM', prefix .. ':mentions:' .. user, target)
  end
  for user in string.gmatch(mentions, '[^,]+') do
    if redis.call('HEXISTS', prefix .. ':members', user) == 1 then
      redis.call('ZADD', prefix .. ':mentions:' .. user, target, target)
    end
  end
elseif action == 'delete' then
  kind = 'delete'
  redis.call('DEL', state)
  redis.call('HSET', state, 'deleted', now)
  redis.call('ZADD', prefix .. ':deleted', target, target)
  redis.call('ZREMRANGEBYRANK', prefix .. ':deleted', 0, -10001)
  for user in string.gmatch(mentions, '[^,]+') do
    redis.call('ZREM', prefix .. ':mentions:' .. user, target)
  end
else
  local field = 'r ' .. value .. ' ' .. actor
  local there, size
  if base then
    there, size = base[field] ~= nil, math.floor((#ARGV - 15) / 2)
  else
    there, size = redis.call('HEXISTS', state, field) == 1, redis.call('HLEN', state)
  end
  if there == (action == 'add') then return {'unchanged', 0, 0, 0} end
  if action == 'add' and size >= most_emoji then return {'invalid_request', 0, 0, 0} end
  install()
  if action == 'add' then
    redis.call('HSET', state, field, room.head + 1)
  else
    redis.call('HDEL', state, field)
  end
end
redis.call('HSET', state, 's', room.head + 1)
redis.call('ZADD', prefix .. ':touched', target, target)

append(room, name, kind, body, now)
remember(key, ttl, action, room)
commit()
return {'ok', room.head, room.ts, EPOCH}
