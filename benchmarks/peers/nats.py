"""NATS core (https://nats.io): publish and subscribe in Go, in memory. Nothing is stored, no send is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.load import Generator, Server
from benchmarks.peers.peer import CONNECTIONS, Peer, debian, program, version, written
from benchmarks.setting import Setting, free_port


def missing(generator: Generator) -> str:
    return debian("nats-server", "nats-server")


@contextmanager
def running(setting: Setting, generator: Generator) -> Iterator[Server]:
    port = free_port()
    conf = written("nats.conf", setting.new_folder("nats") / "nats.conf", port=port, connections=CONNECTIONS)
    nats = setting.start_peer("nats", [program("nats-server"), "-c", str(conf)], port)
    try:
        yield Server(PEER.name, port, {"NATS": nats.pid}, "nats", answers=False)
    finally:
        nats.kill()


PEER = Peer("NATS", missing, running, lambda: version(program("nats-server"), "--version"))
