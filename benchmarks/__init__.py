"""How fast the server is, measured: `make bench`, or `python -m benchmarks --help`.

    __main__.py    the command line
    suite.py       the list of benchmarks, in the order they run
    fanout.py  sends.py  streams.py  replay.py  history.py  start.py     what is measured
    compaction.py  deep.py     the same of the leader's work and of what only the archive has
    big_room.py    a room of a million messages, apart from the others: `python -m benchmarks big-room`
    curves.py      what grows with streams and with sends in flight, for the picture
    measure.py     a figure with its goal      report.py   the tables, the JSON, docs/performance.md
    picture.py     docs/images/performance.svg
    setting.py     a Redis and a worker of the run's own
    people.py      an account that speaks HTTP         machine.py  CPU, memory, load, versions
    load.py        runs the load generator: c/generator.c, or generator.py where there is no C compiler
    backlog.py     messages that wait to be archived      chatter.py    what people write
    compact.py     compaction in a process of its own     endpoint.py   a stand-in for DynamoDB
    peers/         Nchan, socket.io, ngIRCd, NATS and a loop of `send`: how each is started, with the same loads
    empty_post.py  a POST and nothing else

Every benchmark also checks that what it received is complete, in order and the right thing: a fast wrong answer
fails. CI runs all of them small, for that; only people run them for figures.
"""
