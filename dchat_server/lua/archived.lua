-- The archive holds a room up to a watermark: let go of what need not stay. Called by the leader.
-- ARGV: fence, room prefix, room name, watermark, floor (first seq that is still kept), events to keep up to the
--       watermark, time (ms) of the first event behind the watermark (0: there is none)
-- Returns {`ok`, head}, {`fenced`, highest fence seen} or {`behind`, head} when this log lacks what the archive holds.
-- May be repeated, and lowers nothing.
--
-- The log loses its entries before max(floor, watermark - keep + 1). `cut` in :meta is the place of the last one that
-- went ("seq offset ts"), so a reader knows without asking whether something lies before the log. States of messages
-- go when the message has left the log and the last event that touched it is archived.

if not fence_holds(ARGV[1]) then return {'fenced', redis.call('HGET', KEYS[2], 'fence')} end

local prefix, name, watermark, floor, keep = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local meta, log = prefix .. ':meta', prefix .. ':log'
local room = redis.call('HMGET', meta, 'head', 'epochs', 'w', 'floor')
local head = tonumber(room[1] or 0)
if head < watermark then return {'behind', head} end
watermark = math.max(watermark, tonumber(room[3] or 0))
floor = math.max(floor, tonumber(room[4] or 1))
redis.call('HSET', meta, 'w', watermark, 'floor', floor)

local first = math.max(1, watermark - keep + 1)
if floor > first then first = math.min(floor, watermark + 1) end
local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)
if #oldest > 0 then
  local at = tonumber(string.match(oldest[1][1], '%-(%d+)$'))
  -- Not more than this in one go: the server does nothing else meanwhile.
  first = math.min(first, at + 20000)
  if at < first then
    local epoch
    for e, from in string.gmatch(room[2], '(%d+):(%d+)') do
      if tonumber(from) <= first or not epoch then epoch = e end
    end
    local id = epoch .. '-' .. string.format('%.0f', first)
    local last = redis.call('XREVRANGE', log, '(' .. id, '-', 'COUNT', 1)
    if #last > 0 then
      local offset, ts = string.match(last[1][2][4], '^(%d+) (%d+) ')
      redis.call('HSET', meta, 'cut', string.match(last[1][1], '%-(%d+)$') .. ' ' .. offset .. ' ' .. ts)
    end
    redis.call('XTRIM', log, 'MINID', id)
  end
end

local touched = prefix .. ':touched'
local below = redis.call('ZRANGEBYSCORE', touched, '-inf', '(' .. string.format('%.0f', first), 'LIMIT', 0, 1000)
for _, target in ipairs(below) do
  local state = prefix .. ':msg:' .. target
  local last = tonumber(redis.call('HGET', state, 's') or 0)
  if last <= watermark then
    redis.call('DEL', state)
    redis.call('ZREM', touched, target)
  end
end

if head == watermark then
  redis.call('ZREM', DIRTY, name)
elseif ARGV[7] ~= '0' then
  redis.call('ZADD', DIRTY, 'XX', ARGV[7], name)
end
return {'ok', head}
