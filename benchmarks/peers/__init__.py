"""The servers that D-Chat is measured beside: each started by the run itself, alone, and given the same loads.

    nchan.py     nginx with Nchan, on Redis          socketio.py   socket.io with its Redis Streams adapter
    ngircd.py    an IRC server in C                  nats.py       NATS core
    bare.py      a loop of `send` in C: what the kernel asks for, and nothing else

A peer that is not installed is named in the table, with what to type.
"""

from __future__ import annotations

from benchmarks.peers import bare, nats, nchan, ngircd, socketio
from benchmarks.peers.peer import Peer

PEERS: tuple[Peer, ...] = (nchan.PEER, socketio.PEER, ngircd.PEER, nats.PEER, bare.PEER)
"""In the order of the table's columns."""

__all__ = ["PEERS", "Peer"]
