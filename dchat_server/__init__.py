"""The D-Chat server. Where to find what:

- `app.py` puts a worker together: the only file that knows every adapter.
- `cli.py`, `supervisor.py`, `embedded.py`, `check.py`: `dchat-server`, its processes, the Redis of its own.
- `config.py` one frozen Config; `errors.py` one row a failure; `model.py`, `cursor.py` plain values.
- `wire.py` JSON and SSE bytes, pure; `ports.py`, `ports_accounts.py` what the server asks of Redis and others.
- `publish.py` sending and amending; `history.py` pages; `rooms.py` rooms, members, unread counts.
- `accounts.py`, `signatures.py`, `registration.py`, `limits.py`, `slots.py` people, their tokens and their limits.
- `hub.py` live fan-out, pure; `window.py` its memory; `pump.py` the worker's log reader; `attach.py` opening a stream;
  `drain.py` sending readers elsewhere.
- `http/` routes, handlers, the stream's connection, problem+json; `web/` pages served as they lie there.
- `adapters/redis_*.py` keys, connections, and one file a port; `lua/` the scripts that make each change atomic.
"""

__version__ = "0.1.0"
