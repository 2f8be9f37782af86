-- Who is the first account, and so the administrator? The answer is a string: `reserved <user> <request>` (for a
-- while), `claimed <user>`, then `settled <user>` for good. ARGV: its key, epoch under which the archive was asked (or
-- empty), what to do, user name, then
--   reserve  request, lease (ms)     hold the place for a registration; answers 1 or 0
--   claim    user that was chosen and does not exist (or empty)     choose an account that exists
--   settle                           note that the chosen one is administrator now
--   restore  claimed or settled      what the archive has; answers 1, or 0 when the epoch is another one by now
-- `claim` and `settle` answer the string as it is then. All may be repeated.
--
-- After a loss of data nobody may take the place before the archive was asked: `reserve` and `claim` then answer
-- {-1, epoch}. So they do while it reads `settled -`, which lua/open_shard.lua writes when it finds nothing.
--
-- The choice is saved like a person's record, under a name that nobody can have (FIRST in restore.py).

local key, asked, action, name = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local value = redis.call('GET', key)
local state, user = string.match(value or '', '^(%S+) (%S+)')
local lost = user == '-' or (not value and BEHIND)
if user == '-' then value, state, user = false, nil, nil end

local function choose(stage, version)
  value = stage .. ' ' .. name
  redis.call('SET', key, value)
  redis.call('HSET', string.sub(KEYS[1], 1, -5) .. 'changed', '!first', EPOCH .. version)
  redis.call('SADD', string.sub(KEYS[1], 1, -5) .. 'changed:first', '!first')
end

if action == 'restore' then
  if asked ~= EPOCH then return 0 end
  if lost then redis.call('SET', key, ARGV[5] .. ' ' .. name) end
  return 1
end
if lost and asked ~= EPOCH and action ~= 'settle' then return {-1, EPOCH} end

if action == 'reserve' then
  local mine = 'reserved ' .. name .. ' ' .. ARGV[5]
  if value and value ~= mine then return 0 end
  redis.call('SET', key, mine, 'PX', ARGV[6])
  return 1
elseif action == 'claim' then
  if not value or state == 'reserved' or (state == 'claimed' and user == ARGV[5]) then choose('claimed', '000001') end
elseif value == 'claimed ' .. name then
  choose('settled', '000002')
end
return value
