"""A loop of `send` in C (`c/bare.c`): every stream gets every message, and nothing else is done. The physical limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.load import Generator, Server
from benchmarks.peers.peer import Peer
from benchmarks.setting import Setting, free_port


def missing(generator: Generator) -> str:
    return "" if generator.compiler else "apt-get install gcc"


@contextmanager
def running(setting: Setting, generator: Generator) -> Iterator[Server]:
    port = free_port()
    bare = setting.start_peer("bare", [str(generator.build("bare")), str(port)], port)
    try:
        yield Server(PEER.name, port, {"bare": bare.pid}, "sse", share=0.2)
    finally:
        bare.kill()


PEER = Peer("bare loop", missing, running, lambda: "c/bare.c")
