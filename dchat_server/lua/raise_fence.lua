-- From now on refuse what a leader with a lower fence asks for. ARGV: fence. Returns {`ok`} or {`fenced`, highest seen}.

if fence_holds(ARGV[1]) then return {'ok'} end
return {'fenced', redis.call('HGET', KEYS[2], 'fence')}
