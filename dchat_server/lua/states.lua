-- What became of messages of a room since they were sent, as far as this server knows. Reads only.
-- KEYS[1] log, KEYS[2] meta, KEYS[3] touched. ARGV: room prefix, then seqs.
-- Returns {watermark, first seq the log holds (0: none), seq, {field, value, …}, …} with the touched ones among them.

local oldest, first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1), 0
if #oldest > 0 then first = tonumber(string.match(oldest[1][1], '%-(%d+)$')) end
local out = {tonumber(redis.call('HGET', KEYS[2], 'w') or 0), first}
if redis.call('EXISTS', KEYS[3]) == 1 then
  for i = 2, #ARGV do
    if redis.call('ZSCORE', KEYS[3], ARGV[i]) then
      out[#out + 1] = tonumber(ARGV[i])
      out[#out + 1] = redis.call('HGETALL', ARGV[1] .. ':msg:' .. ARGV[i])
    end
  end
end
return out
