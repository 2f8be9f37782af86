-- Tell a room's streams that somebody is writing something. It goes through the feed and into no log.
-- ARGV: room prefix, user, event (JSON; empty: only see whether it may be told). Returns {status}: `ok`, `behind` (ask the archive first) or the code of a
-- refusal, as for a send. A repeat tells it again.

local prefix, user = ARGV[1], ARGV[2]
local room = room_at(prefix)
if lacking(prefix) then return {'behind'} end
local role = redis.call('HGET', prefix .. ':members', user)
if not room or (not role and room.kind ~= 'public') then return {'room_not_found'} end
if not role then return {'not_a_member'} end
if role == 'reader' then return {'read_only'} end
if room.archived then return {'room_archived'} end
if ARGV[3] ~= '' then
  announce('typing', user, ARGV[3])
  commit()
end
return {'ok'}
