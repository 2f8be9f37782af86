-- Who is behind a token? Reads only. KEYS[1] the token's record, which names its account.
-- Returns {user, token id, kind, scopes, expires at, display name, admin}, or nil.

local token = redis.call('HMGET', KEYS[1], 'user', 'id', 'kind', 'scopes', 'expires', 'account')
if not token[1] then return false end
local account = redis.call('HMGET', token[6], 'display_name', 'admin')
if not account[1] then return false end
return {token[1], token[2], token[3], token[4], token[5], account[1], account[2]}
