-- Who is the first account, and so the administrator? KEYS[1] the answer, a string: `reserved <user> <request>` (for
-- a while), `claimed <user>`, then `settled <user>` for good. ARGV: what to do, user name, then
--   reserve  request, lease (ms)     hold the place for a registration; answers 1 or 0
--   claim    user that was chosen and does not exist (or empty)     choose an account that exists
--   settle                           note that the chosen one is administrator now
-- `claim` and `settle` answer the string as it is then. All may be repeated.

local value = redis.call('GET', KEYS[1])
local state, user = string.match(value or '', '^(%S+) (%S+)')

if ARGV[1] == 'reserve' then
  local mine = 'reserved ' .. ARGV[2] .. ' ' .. ARGV[3]
  if value and value ~= mine then return 0 end
  redis.call('SET', KEYS[1], mine, 'PX', ARGV[4])
  return 1
elseif ARGV[1] == 'claim' then
  if not value or state == 'reserved' or (state == 'claimed' and user == ARGV[3]) then
    value = 'claimed ' .. ARGV[2]
    redis.call('SET', KEYS[1], value)
  end
elseif value == 'claimed ' .. ARGV[2] then
  value = 'settled ' .. ARGV[2]
  redis.call('SET', KEYS[1], value)
end
return value
