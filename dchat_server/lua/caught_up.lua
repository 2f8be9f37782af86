-- The shard has again everything that the archive holds. ARGV: fence, epoch in which it was brought back: under another
-- one nothing changes, for it has lost its data once more. Returns {`ok`} or {`fenced`, highest seen}.

if not fence_holds(ARGV[1]) then return {'fenced', redis.call('HGET', KEYS[2], 'fence')} end
if ARGV[2] == EPOCH then redis.call('HDEL', KEYS[2], 'behind') end
return {'ok'}
