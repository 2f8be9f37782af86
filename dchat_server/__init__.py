"""The D-Chat server. Where to find what:

    app.py        puts a worker together: the only file that knows every adapter
    config.py     one frozen Config             cli.py, supervisor.py, embedded.py   `dchat-server`, its processes
    errors.py     one row a failure             model.py    rooms, events, positions, cursors: plain values
    wire.py       JSON and SSE bytes, pure      ports.py    what the server asks of Redis and others

    publish.py    sending and amending          history.py  pages, single messages, unread counts
    rooms.py      rooms and members             accounts.py people, tokens, tickets
    hub.py        live fan-out, pure            replay.py   what a stream missed
    attach.py     opening a stream              feed.py     the worker's reader of the log

    http/         routes, handlers, the stream, problem+json
    adapters/     redis_*.py: keys, connections, room log, directory, limits
    lua/          the scripts that make each change atomic
    web/          pages served as they lie there
"""

__version__ = "0.1.0"
