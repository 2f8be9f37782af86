"""ngIRCd (https://ngircd.barton.de): an IRC server in C. Nothing is stored, no send is answered.

Everybody in a channel is told of everybody who joins it: n streams cost n² / 2 lines before the first message.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import Generator, Server
from benchmarks.peers.peer import Peer, debian, program, version, written
from benchmarks.setting import Setting, free_port

NOBODY = 65534
MOST_STREAMS = 1000
BACKLOG = 10
"""More connections at a time than that, and the kernel lets them wait for a second."""


def missing(generator: Generator) -> str:
    return debian("ngircd", "ngircd")


@contextmanager
def running(setting: Setting, generator: Generator) -> Iterator[Server]:
    port = free_port()
    # Not in the run's folder, which is for us alone: started by root it becomes nobody, and then reads this.
    with tempfile.TemporaryDirectory(prefix="dchat-bench-ngircd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        conf = written("ngircd.conf", folder / "ngircd.conf", port=port)
        ngircd = setting.start_peer("ngircd", [*_as_nobody(), program("ngircd"), "-n", "-f", str(conf)], port)
        try:
            yield Server(
                PEER.name, port, {"ngIRCd": ngircd.pid}, "irc", answers=False,
                most_streams=MOST_STREAMS, opening=BACKLOG - 2,
            )  # fmt: skip
        finally:
            ngircd.kill()


def _as_nobody() -> list[str]:
    """It refuses to be root. Were it to change that itself, it would no longer end with us."""
    if os.geteuid() != 0:
        return []
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return [program("setpriv"), *who, "--pdeathsig", "KILL", "--"]


PEER = Peer("ngIRCd", missing, running, lambda: version(program("ngircd"), "--version"))
