"""Whether the server may listen where it is told to, found out before anything is started."""

from __future__ import annotations

import errno
import socket
from typing import Any


class ListenError(Exception):
    """The server cannot listen there. The text is a sentence with the next step."""


class PortInUse(ListenError):
    """Somebody else listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is in use by another program, perhaps a D-Chat server. "
            f"End that one, or choose another port: dchat-server --port {port + 1 if port < 65535 else 5000}."
        )


def check_port(host: str, port: int) -> None:
    """Return when a server may listen on `port` of `host`.

    Raises PortInUse, or ListenError when `host` is no address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in found:
            try:
                _probe(family, address)
            except OSError as problem:
                # `localhost` is often two addresses, one of them of a family that is turned off here.
                foreign = problem.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
                if not foreign or len(found) == 1:
                    raise
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from problem
        if problem.errno == errno.EACCES:
            raise ListenError(
                f"Only root may listen on port {port}. Choose one above 1023: dchat-server --port 5000."
            ) from problem
        raise ListenError(
            f"The server cannot listen on {host} ({problem.strerror}). "
            "Choose an address of this machine: --host 127.0.0.1, or --host 0.0.0.0 for all of them."
        ) from problem


def _probe(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections that have just ended are no hindrance; a listener is, with SO_REUSEPORT or without.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
