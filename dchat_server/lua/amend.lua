-- Edit, delete or react to a message. The worker has read the message and knows its author; this script knows what
-- may have changed since: membership, the archive flag, the message's present state.
--
-- ARGV: now, room prefix, room name, actor, idempotency key, ttl, action (edit|delete|add|remove), target seq,
--       value (the new text as JSON, or the emoji), body, mentioned users (commas), roles that may act although they
--       are not the author (commas; empty when the actor is the author or reacts), largest number of emoji,
--       users that the text mentioned until now (commas)
-- Returns {status, seq, ts, epoch}; status `ok`, `unchanged` (nothing to do: no event) or the code of a refusal.
--
-- The state of a message that was touched lives in the hash <prefix>:msg:<seq>: text, edited (ms), deleted, and a
-- field `r <emoji> <user>` a reaction. <prefix>:touched (sorted by seq) says which messages have one.

local now, prefix, name, actor = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local key, ttl, action, target, value, body = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local mentions, others, most_emoji = ARGV[11], ARGV[12], tonumber(ARGV[13])

local room = room_at(prefix)
if not room then return {'room_not_found', 0, 0, 0} end
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
if redis.call('HEXISTS', state, 'deleted') == 1 then
  if action == 'delete' then return {'unchanged', 0, 0, 0} end
  return {'message_deleted', 0, 0, 0}
end

local kind = 'reaction'
if action == 'edit' then
  kind = 'edit'
  redis.call('HSET', state, 'text', value, 'edited', now)
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
  for user in string.gmatch(mentions, '[^,]+') do
    redis.call('ZREM', prefix .. ':mentions:' .. user, target)
  end
else
  local field = 'r ' .. value .. ' ' .. actor
  if action == 'add' then
    if redis.call('HEXISTS', state, field) == 1 then return {'unchanged', 0, 0, 0} end
    if redis.call('HLEN', state) >= most_emoji then return {'invalid_request', 0, 0, 0} end
    redis.call('HSET', state, field, room.head + 1)
  else
    if redis.call('HDEL', state, field) == 0 then return {'unchanged', 0, 0, 0} end
  end
end
redis.call('ZADD', prefix .. ':touched', target, target)

append(room, name, kind, body, now)
remember(key, ttl, action, room)
commit()
return {'ok', room.head, room.ts, EPOCH}
