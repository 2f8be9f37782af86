-- The shard has again everything that the archive holds. ARGV: fence. Returns {`ok`} or {`fenced`, highest seen}.

if not fence_holds(ARGV[1]) then return {'fenced', redis.call('HGET', KEYS[2], 'fence')} end
redis.call('HDEL', KEYS[2], 'behind')
return {'ok'}
