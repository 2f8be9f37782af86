-- Who is behind a token? Reads only. KEYS[1] the token's record, which names its account; KEYS[2] the shard's state.
-- Returns {user, token id, kind, scopes, expires at, display name, admin}; nil when nobody is; `behind` when nobody is
-- here, but the shard lost data and the archive may know.

local token = redis.call('HMGET', KEYS[1], 'user', 'id', 'kind', 'scopes', 'expires', 'account')
local account = token[1] and redis.call('HMGET', token[6], 'display_name', 'admin')
if account and account[1] then
  return {token[1], token[2], token[3], token[4], token[5], account[1], account[2]}
end
local shard = redis.call('HMGET', KEYS[2], 'epoch', 'behind')
return (not shard[1] or shard[2] == '1') and 'behind'
