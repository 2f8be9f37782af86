-- Note in a person's own list that they may be in a room, or are not any more. ARGV: account (the prefix of the
-- person's keys), user name, `add` or `remove`, room. Returns 1 when that was new. Repeatable.
--
-- The list may be written before the account is there (its shard lost its data and the person has not come back yet):
-- lua/restore_user.lua joins the two. To be saved, see lua/user_saved.lua.

local new = redis.call(ARGV[3] == 'add' and 'SADD' or 'SREM', ARGV[1] .. ':rooms', ARGV[4])
local changed = string.sub(KEYS[1], 1, -5) .. 'changed'
if new == 1 then
  -- Who may be older here than in the archive keeps the version until the two were compared (lua/restore_user.lua).
  local unsure = BEHIND and tonumber(redis.call('HGET', ARGV[1], 'version') or 0) < EPOCH * 1e6
  if redis.call('EXISTS', ARGV[1]) == 1 then
    redis.call('HSET', changed, ARGV[2], redis.call('HINCRBY', ARGV[1], 'version', unsure and 0 or 1))
  elseif BEHIND then
    redis.call('HSET', changed, ARGV[2], EPOCH .. '000000')
  end
end
return new
