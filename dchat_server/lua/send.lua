-- Store a batch of messages of one shard, in order. The hot path: one call carries all sends in flight.
--
-- ARGV: now (ms), batch key, its ttl (s), traced, then for each message
--   room prefix, room name, sender, idempotency key, ttl (s), fingerprint, mentions (names joined by commas), body
-- Returns five values for each run of answers: status, how many, seq of the first, ts, epoch. Status is `ok`, `repeat`
-- (stored before under this key: its first place is returned), `behind` (ask the archive first) or the code of a refusal.
-- Messages stored one behind the other in a room are one run. A refused message changes nothing.
--
-- A sender's own idempotency key is remembered for each message, with a print of what it said; the print `*`, of a
-- deleted message that came back from the archive, is like any. Messages without one (the key is empty) only need
-- to be guarded against our own repeats, and those are always of the whole batch: its answer is remembered once,
-- under the batch key. The batch key is empty when every message has a key of its own.
--
-- `traced` is empty but for messages whose delivery is to be traced: for each, where it begins in ARGV and the context of
-- its trace, separated by spaces. An entry of the feed in front of its event tells all workers (dchat_server/tracing.py).

local now, batch = tonumber(ARGV[1]), ARGV[2]
if batch ~= '' then
  local answered = call('GET', batch)
  if answered then return cmsgpack.unpack(answered) end
end

local roles, posted, out, n = {}, {}, {}, 0

local traced
if ARGV[4] ~= '' then
  traced = {}
  for at, context in string.gmatch(ARGV[4], '(%d+) (%S+)') do traced[tonumber(at)] = context end
end

local run -- the room of the last answer, when that was `ok`

local function answer(status, seq, ts, epoch)
  out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5] = status, 1, seq, ts, epoch
  n, run = n + 5, nil
end

local function refuse(code)
  answer(code, 0, 0, 0)
end

local at, from, who, role, room

for i = 5, #ARGV, 8 do
  local prefix, name, sender, key = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local print, mentions, body = ARGV[i + 5], ARGV[i + 6], ARGV[i + 7]
  if prefix ~= at or sender ~= from then
    at, from, room, who = prefix, sender, room_at(prefix), prefix .. ' ' .. sender
    role = roles[who]
    if role == nil then
      role = call('HGET', prefix .. ':members', sender)
      roles[who] = role
    end
  end
  if lacking(prefix) then
    refuse('behind')
  elseif not room then
    refuse('room_not_found')
  elseif not role then
    refuse(room.kind == 'public' and 'not_a_member' or 'room_not_found')
  else
    local before = key ~= '' and done_before(key)
    if before then
      if before[1] ~= print and before[1] ~= '*' then
        refuse('idempotency_conflict')
      else
        answer('repeat', before[2], before[3], before[4])
      end
    elseif role == 'reader' then
      refuse('read_only')
    elseif room.archived then
      refuse('room_archived')
    else
      if traced and traced[i] then announce('trace', '', traced[i] .. ' ' .. room.head + 1 .. ' ' .. name) end
      append(room, name, 'message', body, now)
      if key ~= '' then remember(key, ARGV[i + 4], print, room) end
      local mine = posted[who]
      if not mine then
        mine = {prefix .. ':posted', sender}
        posted[who] = mine
      end
      mine[3], mine[4] = room.head, room.n
      if mentions ~= '' then
        for user in string.gmatch(mentions, '[^,]+') do
          if redis.call('HEXISTS', prefix .. ':members', user) == 1 then
            local list = prefix .. ':mentions:' .. user
            redis.call('ZADD', list, room.head, room.head)
            redis.call('ZREMRANGEBYRANK', list, 0, -1001)
          end
        end
      end
      if run == room then
        out[n - 3] = out[n - 3] + 1
      else
        answer('ok', room.head, room.ts, EPOCH)
        run = room
      end
    end
  end
end

-- What somebody wrote themselves they have read: the place of each sender's last message.
for _, last in pairs(posted) do
  call('HSET', last[1], last[2], last[3] .. ' ' .. last[4])
end
commit()
if batch ~= '' then call('SET', batch, cmsgpack.pack(out), 'EX', ARGV[3]) end
return out
