-- What every writing script of a shard shares. It is put in front of each of them, behind one line that the worker
-- writes:   local EPOCH = '1764000000'
--
-- KEYS[1] is the shard's feed, KEYS[2] its state (hash: epoch, run, head, bases, behind, fence). Other keys are made
-- from the prefixes in ARGV; they carry the shard's hash tag, so all of them live in the same slot.
--
-- EPOCH in the text is the fence of the log. A server that restarted or was promoted has an empty script cache and
-- answers NOSCRIPT; the worker must then run open_shard.lua, which raises the epoch, before it may load this text
-- again, now with another EPOCH and so another SHA. Nothing is ever appended under an epoch that is over.

local FEED_MAX = '20000'
local FEED, PREFIX, call, format = KEYS[1], EPOCH .. '-', redis.call, string.format
-- How a whole number is written: quickly, unless Redis was built for 32 bits.
local WHOLE = format('%d', 4294967296) == '4294967296' and '%d' or '%.0f'

local shard = redis.call('HMGET', KEYS[2], 'epoch', 'head', 'behind')
if shard[1] ~= EPOCH then
  return redis.error_reply('STALEEPOCH the shard is at epoch ' .. (shard[1] or 'none'))
end
local feed_head = tonumber(shard[2])
local feed_was = feed_head
local BEHIND = shard[3] == '1'
-- Sorted set: rooms with events that are not archived, by the time of the first of them.
local DIRTY = string.sub(KEYS[1], 1, -5) .. 'dirty'

local loaded = {}

-- The room's counters, read once a call however many events are added; nil when there is no such room.
local function room_at(prefix)
  local room = loaded[prefix]
  if room ~= nil then return room end
  local meta = redis.call('HMGET', prefix .. ':meta', 'head', 'epoch', 'epochs', 'ts', 'n', 'archived', 'kind')
  if meta[1] then
    room = {prefix = prefix, log = prefix .. ':log', head = tonumber(meta[1]), epoch = meta[2], epochs = meta[3],
            ts = tonumber(meta[4]), n = tonumber(meta[5]), archived = meta[6] == '1', kind = meta[7]}
  else
    room = false
  end
  loaded[prefix] = room
  return room
end

-- True when the archive must be asked before this room (after `room_at`) is written to: its shard has lost data, and
-- the room is not there or has not been written to since. lua/restore_room.lua settles that.
local function lacking(prefix)
  return BEHIND and (not loaded[prefix] or loaded[prefix].epoch ~= EPOCH)
end

-- Add one event to the room's log and to the feed. Times never run backwards within a room, whatever the
-- workers' clocks say.
local function append(room, name, kind, body, now)
  room.head = room.head + 1
  feed_head = feed_head + 1
  if now > room.ts then room.ts = now end
  if kind == 'message' then room.n = room.n + 1 end
  if room.epoch ~= EPOCH then
    room.epoch = EPOCH
    room.epochs = room.epochs .. ' ' .. EPOCH .. ':' .. room.head
  end
  -- Lua takes half a microsecond to write a number as text: each is written once.
  local seq, offset = format(WHOLE, room.head), format(WHOLE, feed_head)
  if room.ts ~= room.written then
    room.written, room.time = room.ts, ' ' .. format(WHOLE, room.ts) .. ' '
  end
  local tail = room.time .. format(WHOLE, room.n)
  call('XADD', room.log, PREFIX .. seq, 't', kind, 'x', offset .. tail, 'd', body)
  call('XADD', FEED, PREFIX .. offset, 'r', name, 't', kind, 'x', EPOCH .. ' ' .. seq .. tail, 'd', body)
  room.offset, room.name = feed_head, name
end

-- Add an entry that belongs to no room (a revocation, a read marker): workers act on it, nobody pages through it.
local function announce(kind, user, body)
  feed_head = feed_head + 1
  call('XADD', FEED, PREFIX .. feed_head, 'c', kind, 'u', user, 'd', body)
end

-- Write the counters back. Every script that appended ends with this.
local function commit()
  for prefix, room in pairs(loaded) do
    if room and room.offset then
      call('HSET', prefix .. ':meta', 'head', room.head, 'epoch', room.epoch, 'epochs', room.epochs,
           'ts', room.ts, 'n', room.n, 'f', room.offset)
      call('ZADD', DIRTY, 'NX', room.ts, room.name)
    end
  end
  call('HSET', KEYS[2], 'head', feed_head)
  -- Redis drops whole blocks of entries here; to look at each of them whether there is one to drop costs more.
  if math.floor(feed_head / 64) > math.floor(feed_was / 64) then call('XTRIM', FEED, 'MAXLEN', '~', FEED_MAX) end
end

-- The answer an operation gave when it was done before under the same key: {'fingerprint', seq, ts, epoch} or nil.
local function done_before(key)
  local value = redis.call('GET', key)
  if not value then return nil end
  local print, seq, ts, epoch = string.match(value, '^(%S*) (%d+) (%d+) (%d+)$')
  return {print, seq, ts, epoch}
end

local function remember(key, ttl, print, room)
  call('SET', key, print .. ' ' .. format(WHOLE, room.head) .. room.time .. EPOCH, 'EX', ttl)
end

-- True when a leader with this fence may write; a higher one than was seen is kept. Fences have up to 63 bits, more than
-- a number of Lua holds: compared as texts, shorter first.
local function fence_holds(fence)
  local seen = redis.call('HGET', KEYS[2], 'fence') or '0'
  if #seen > #fence or (#seen == #fence and seen > fence) then return false end
  if seen ~= fence then redis.call('HSET', KEYS[2], 'fence', fence) end
  return true
end
