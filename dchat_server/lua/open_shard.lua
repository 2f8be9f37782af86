-- Make sure the shard's epoch belongs to the server that runs now. Not fenced: this is what makes the fence.
--
-- KEYS[1] feed, KEYS[2] state. ARGV: the highest epoch this worker knows, a number that is unlikely to have been an
-- epoch before (seconds since 1970; it only has to differ), number of shards.
-- Returns {epoch, head, bases, first offset the feed still holds}, or an error SHARDS when the number of shards of
-- this cluster is another one.
--
-- `bases` lists the epochs that are over and the feed offset each ended at, "epoch:head epoch:head": whoever read
-- epoch E up to P lost nothing when P <= head of E; what lay beyond it is gone.

local state = redis.call('HMGET', KEYS[2], 'epoch', 'run', 'head', 'bases', 'shards')
local epoch, run, head, bases = state[1], state[2], state[3] or '0', state[4] or ''
local known, nonce, shards = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
-- Which server this is, it must say itself, here: asked before, it may be another one by now (a restart, a redirect).
local me = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

if state[5] and state[5] ~= shards then
  return redis.error_reply('SHARDS this cluster was set up with ' .. state[5] .. ' shards')
end

if not epoch then
  epoch = string.format('%.0f', math.max(known + 1, nonce))
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', me, 'head', head, 'bases', '', 'shards', shards)
elseif run ~= me or known > tonumber(epoch) then
  bases = bases .. (bases == '' and '' or ' ') .. epoch .. ':' .. head
  local last = {}
  for base in string.gmatch(bases, '%S+') do last[#last + 1] = base end
  bases = table.concat(last, ' ', math.max(1, #last - 63))
  epoch = string.format('%.0f', math.max(known, tonumber(epoch)) + 1)
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', me, 'bases', bases)
end

local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local first_offset = tonumber(head) + 1
if #first > 0 then first_offset = tonumber(string.match(first[1][1], '%-(%d+)$')) end
return {epoch, head, bases, first_offset}
