-- Move a person's read marker of a room; it lives on the person's own shard. ARGV: markers key, room, seq, messages
-- up to it, head of the room now, '1' to allow moving back, user, body of the announcement.
-- The marker is "seq messages head back". Returns {seq, messages, head, back} as it stands now.

local marker = redis.call('HGET', ARGV[1], ARGV[2])
local seq, n, at, back
if marker then seq, n, at, back = string.match(marker, '^(%d+) (%d+) (%d+) (%d)$') end
if marker and ARGV[6] ~= '1' and tonumber(ARGV[3]) <= tonumber(seq) then
  return {seq, n, at, back}
end
redis.call('HSET', ARGV[1], ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6])
announce('read', ARGV[7], ARGV[8])
commit()
return {ARGV[3], ARGV[4], ARGV[5], ARGV[6]}
