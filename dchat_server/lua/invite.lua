-- One invite. KEYS[1] the invite. ARGV: what to do, then
--   make     maker, expires at (ms)
--   reserve  user name, request, lease (ms), request of a dead holder that may be replaced (or empty)
--   use      request         free     request
-- `reserve` answers {`ok`}, {`no`} or {`stale`, user name, request} when a holder's lease is over without an end: the
-- caller then finds out whether that account exists. The others answer {`ok`}. All may be repeated.

local action = ARGV[1]
if action == 'make' then
  redis.call('HSET', KEYS[1], 'maker', ARGV[2])
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
  return {'ok'}
end

local invite = redis.call('HMGET', KEYS[1], 'maker', 'user', 'request', 'until')
if not invite[1] then return {action == 'reserve' and 'no' or 'ok'} end

if action == 'reserve' then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  if invite[3] and invite[3] ~= ARGV[3] and invite[3] ~= ARGV[5] then
    if tonumber(invite[4]) > now then return {'no'} end
    return {'stale', invite[2], invite[3]}
  end
  redis.call('HSET', KEYS[1], 'user', ARGV[2], 'request', ARGV[3],
             'until', string.format('%.0f', now + tonumber(ARGV[4])))
elseif invite[3] == ARGV[2] then
  if action == 'use' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('HDEL', KEYS[1], 'user', 'request', 'until')
  end
end
return {'ok'}
