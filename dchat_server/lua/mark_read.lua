-- Move a person's read marker of a room; it lives on the person's own shard. ARGV: markers key, room, seq, messages
-- up to it, head of the room now, '1' to allow moving back, user, body of the announcement.
-- The marker is "seq messages head back". Returns {seq, messages, head, back} as it stands now.

local marker = redis.call('HGET', ARGV[1], ARGV[2])
local seq, n, at, was_back
if marker then seq, n, at, was_back = string.match(marker, '^(%d+) (%d+) (%d+) (%d)$') end
if marker and ARGV[6] ~= '1' and tonumber(ARGV[3]) <= tonumber(seq) then
  return {seq, n, at, was_back}
end
local to, back = ARGV[5], ARGV[6]
-- Who went back and reads on is still behind where they had been: what they wrote up to there has not moved them.
if back ~= '1' and was_back == '1' and tonumber(ARGV[3]) < tonumber(at) then to, back = at, '1' end
redis.call('HSET', ARGV[1], ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. to .. ' ' .. back)
-- To be saved, see lua/user_saved.lua; lua/join_set.lua tells the rest.
local account, changed = string.sub(ARGV[1], 1, -6), string.sub(KEYS[1], 1, -5) .. 'changed'
local unsure = BEHIND and tonumber(redis.call('HGET', account, 'version') or 0) < EPOCH * 1e6
if redis.call('EXISTS', account) == 1 then
  redis.call('HSET', changed, ARGV[7], redis.call('HINCRBY', account, 'version', unsure and 0 or 1))
elseif BEHIND then
  redis.call('HSET', changed, ARGV[7], EPOCH .. '000000')
end
announce('read', ARGV[7], ARGV[8])
commit()
return {ARGV[3], ARGV[4], to, back}
