-- How far a room goes, here and in the archive. Reads only. KEYS[1] log, KEYS[2] meta.
-- Returns {head, watermark, floor, first seq the log holds (head + 1: none), seq, offset and ts of the last event that
-- was let go (0: none), epochs ("epoch:first …")}; nil when there is no such room.

local meta = redis.call('HMGET', KEYS[2], 'head', 'w', 'floor', 'cut', 'epochs')
if not meta[1] then return false end
local head = tonumber(meta[1])
local oldest, first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1), head + 1
if #oldest > 0 then first = tonumber(string.match(oldest[1][1], '%-(%d+)$')) end
local seq, offset, ts = string.match(meta[4] or '', '^(%d+) (%d+) (%d+)$')
return {head, tonumber(meta[2] or 0), tonumber(meta[3] or 1), first, tonumber(seq or 0), tonumber(offset or 0),
        tonumber(ts or 0), meta[5]}
