-- Store a batch of messages of one shard, in order. The hot path: one call carries all sends in flight.
--
-- ARGV: now (ms), then for each message
--   room prefix, room name, sender, idempotency key, ttl (s), fingerprint, mentions (names joined by commas), body
-- Returns five values a message: status, seq, ts, epoch, feed offset. Status is `ok`, `repeat` (stored before under
-- this key: its first place is returned) or the code of a refusal. A refused message changes nothing.

local now = tonumber(ARGV[1])
local roles, posted, out = {}, {}, {}

local function refuse(code)
  out[#out + 1] = code
  out[#out + 1] = 0
  out[#out + 1] = 0
  out[#out + 1] = 0
  out[#out + 1] = 0
end

for i = 2, #ARGV, 8 do
  local prefix, name, sender, key = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local print, mentions, body = ARGV[i + 5], ARGV[i + 6], ARGV[i + 7]
  local room = room_at(prefix)
  local who = prefix .. ' ' .. sender
  local role = roles[who]
  if role == nil then
    role = redis.call('HGET', prefix .. ':members', sender)
    roles[who] = role
  end
  if not room then
    refuse('room_not_found')
  elseif not role then
    refuse(room.kind == 'public' and 'not_a_member' or 'room_not_found')
  else
    local before = done_before(key)
    if before then
      if before[1] ~= print then
        refuse('idempotency_conflict')
      else
        out[#out + 1] = 'repeat'
        out[#out + 1] = before[2]
        out[#out + 1] = before[3]
        out[#out + 1] = before[4]
        out[#out + 1] = 0
      end
    elseif role == 'reader' then
      refuse('read_only')
    elseif room.archived then
      refuse('room_archived')
    else
      append(room, name, 'message', body, now)
      remember(key, ARGV[i + 4], print, room)
      posted[who] = {prefix, sender, room.head .. ' ' .. room.n}
      if mentions ~= '' then
        for user in string.gmatch(mentions, '[^,]+') do
          if redis.call('HEXISTS', prefix .. ':members', user) == 1 then
            local list = prefix .. ':mentions:' .. user
            redis.call('ZADD', list, room.head, room.head)
            redis.call('ZREMRANGEBYRANK', list, 0, -1001)
          end
        end
      end
      out[#out + 1] = 'ok'
      out[#out + 1] = room.head
      out[#out + 1] = room.ts
      out[#out + 1] = EPOCH
      out[#out + 1] = feed_head
    end
  end
end

-- What somebody wrote themselves they have read: the place of each sender's last message.
for _, last in pairs(posted) do
  redis.call('HSET', last[1] .. ':posted', last[2], last[3])
end
commit()
return out
