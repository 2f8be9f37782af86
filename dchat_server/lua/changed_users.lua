-- People whose record changed since it was saved. Reads only. KEYS[1] hash of the changed, KEYS[2] set of those to save
-- first. ARGV: how many at most. Returns user, version, user, version, …
--
-- They are drawn by lot, so one who cannot be saved stands in nobody's way.

local out, taken = {}, {}
local function take(user, version)
  if version and not taken[user] and #out < 2 * tonumber(ARGV[1]) then
    taken[user] = true
    out[#out + 1] = user
    out[#out + 1] = version
  end
end
for _, user in ipairs(redis.call('SRANDMEMBER', KEYS[2], ARGV[1])) do take(user, redis.call('HGET', KEYS[1], user)) end
if #out < 2 * tonumber(ARGV[1]) then
  local rest = redis.call('HRANDFIELD', KEYS[1], ARGV[1], 'WITHVALUES')
  for i = 1, #rest, 2 do take(rest[i], rest[i + 1]) end
end
return out
