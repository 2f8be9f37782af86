-- Make sure the shard's epoch belongs to the server that runs now. Not fenced: this is what makes the fence.
--
-- KEYS[1] feed, KEYS[2] state, KEYS[3] who was the first user (shard 0 only). ARGV: the highest epoch this worker
-- knows, a number that is unlikely to have been an epoch before (seconds since 1970; it only has to differ), number of
-- shards, the highest feed offset this worker knows; then what the archive knows of this shard: epoch and offset of
-- its mark, '1' when there is an archive at all, and an epoch that the new one must not be lower than. Without these four
-- a change of epoch is not made: the answer is {'MARK', epoch until now, head}, and the worker seals what the archive may
-- still be told of earlier epochs, asks for the mark, and calls again.
-- Returns {epoch, head, bases, first offset the feed still holds, behind}, or an error SHARDS when the number of shards
-- of this cluster is another one.
--
-- `bases` lists the epochs that are over and the feed offset each ended at, "epoch:head epoch:head": whoever read
-- epoch E up to P lost nothing when P <= head of E; what lay beyond it is gone.
--
-- `behind` is '1' when this server lacks what the archive holds: it came up empty, or its feed ends before what was
-- archived. New offsets then begin far above all that were ever given out.

local JUMP = 1000000000

local state = redis.call('HMGET', KEYS[2], 'epoch', 'run', 'head', 'bases', 'shards', 'behind')
local epoch, run, head, bases = state[1], state[2], state[3] or '0', state[4] or ''
local known, nonce, shards, known_head = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local mark_epoch, mark_offset, least = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[8] or 0)
-- Which server this is, it must say itself, here: asked before, it may be another one by now (a restart, a redirect).
local me = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

if state[5] and state[5] ~= shards then
  return redis.error_reply('SHARDS this cluster was set up with ' .. state[5] .. ' shards')
end

-- (Two workers may seal at once. The lower one's epoch is over before it has begun: the archive takes nothing of it.)
if not epoch or run ~= me or known > tonumber(epoch) or least > tonumber(epoch) then
  if not mark_epoch then return {'MARK', epoch or '0', head} end
  known = math.max(known, mark_epoch)
  local behind = mark_offset > tonumber(head)
  if not epoch then
    behind = known > 0
    epoch = string.format('%.0f', math.max(known + 1, nonce))
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[2], 'shards', shards)
  else
    bases = bases .. (bases == '' and '' or ' ') .. epoch .. ':' .. head
    local last = {}
    for base in string.gmatch(bases, '%S+') do last[#last + 1] = base end
    bases = table.concat(last, ' ', math.max(1, #last - 63))
    epoch = string.format('%.0f', math.max(known, tonumber(epoch)) + 1)
  end
  epoch = string.format('%.0f', math.max(tonumber(epoch), least))
  if behind and ARGV[7] == '1' then
    head = string.format('%.0f', math.max(tonumber(head), known_head, mark_offset) + JUMP)
    redis.call('HSET', KEYS[2], 'behind', '1')
    state[6] = '1'
    -- Whoever registers first now is not the first.
    if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 0 then redis.call('SET', KEYS[3], 'settled -') end
  end
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', me, 'head', head, 'bases', bases)
end

local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local first_offset = tonumber(head) + 1
if #first > 0 then first_offset = tonumber(string.match(first[1][1], '%-(%d+)$')) end
return {epoch, head, bases, first_offset, state[6] or '0'}
