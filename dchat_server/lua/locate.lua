-- Where in a room's log does a reader have to start? Reads only. KEYS[1] log, KEYS[2] meta.
-- ARGV: 'offset' or 'ts', value. Returns {first seq whose feed offset (time) is greater than the value (not less than
-- it), head, 1 when events that left the log may be wanted, too (else 0), floor}; the first seq is head + 1 when there is
-- none. Both rise along the log, so a binary search finds it: about log2(head) steps, whatever the room's length.

local meta = redis.call('HMGET', KEYS[2], 'head', 'epochs', 'floor', 'cut')
if not meta[1] then return {0, 0, 0, 1} end
local head, epochs = tonumber(meta[1]), {}
for epoch, first in string.gmatch(meta[2], '(%d+):(%d+)') do
  epochs[#epochs + 1] = {epoch, tonumber(first)}
end

local function value_at(seq)
  local epoch = epochs[1][1]
  for i = 2, #epochs do
    if epochs[i][2] <= seq then epoch = epochs[i][1] end
  end
  local id = epoch .. '-' .. seq
  local rows = redis.call('XRANGE', KEYS[1], id, id)
  if #rows == 0 then return nil end
  local offset, ts = string.match(rows[1][2][4], '^(%d+) (%d+) ')
  return tonumber(ARGV[1] == 'offset' and offset or ts)
end

local wanted = tonumber(ARGV[2])
local low, high = 1, head + 1
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
low = high
if #oldest > 0 then low = tonumber(string.match(oldest[1][1], '%-(%d+)$')) end
local begins = low
while low < high do
  local middle = math.floor((low + high) / 2)
  local value = value_at(middle)
  local enough
  if ARGV[1] == 'offset' then enough = value ~= nil and value > wanted else enough = value ~= nil and value >= wanted end
  if enough then high = middle else low = middle + 1 end
end

local trimmed = 0
if low == begins and begins > 1 then
  -- `cut` tells the place of the last event that left; when even that is not wanted, none is.
  local offset, ts = string.match(meta[4] or '', '^%d+ (%d+) (%d+)$')
  local last = tonumber(ARGV[1] == 'offset' and offset or ts)
  local unwanted
  if ARGV[1] == 'offset' then unwanted = last and last <= wanted else unwanted = last and last < wanted end
  if not unwanted then trimmed = 1 end
end
return {low, head, trimmed, tonumber(meta[3] or 1)}
