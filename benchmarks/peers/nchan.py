"""Nchan (https://nchan.io): publish and subscribe in nginx, in C, with messages in Redis. Streams are SSE, sends POST.

It answers a send when Redis has the message. It keeps the last messages of each channel, as D-Chat keeps its room logs.
"""

from __future__ import annotations

import getpass
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection

from benchmarks.load import Generator, Server
from benchmarks.machine import children
from benchmarks.peers.peer import CONNECTIONS, Peer, debian, program, version, written
from benchmarks.setting import Setting, free_port

MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"
KEPT = 10_000


def missing(generator: Generator) -> str:
    return debian("nginx libnginx-mod-nchan", "nginx", MODULE)


@contextmanager
def running(setting: Setting, generator: Generator) -> Iterator[Server]:
    port, redis = free_port(), setting.start_redis()
    folder = setting.new_folder("nchan")
    conf = written(
        "nchan.conf", folder / "nginx.conf", port=port, redis=redis.port, folder=folder, module=MODULE, kept=KEPT,
        user=getpass.getuser(), connections=CONNECTIONS, files=2 * CONNECTIONS,
    )  # fmt: skip
    command = [program("nginx"), "-c", str(conf), "-p", str(folder), "-e", str(folder / "nginx.log")]
    # SIGTERM: it ends its workers. Killed, it would leave them behind.
    nginx = setting.start_peer("nginx", command, port, last=signal.SIGTERM)
    nginx.until(lambda: _has_redis(port))
    pids = {"nginx": nginx.pid}
    for pid in children(nginx.pid):
        pids[f"nginx {len(pids)}"] = pid
    try:
        yield Server(
            PEER.name,
            port,
            {**pids, "Redis": redis.pid},
            "sse",
            (),
            "/subscribe/{room}",
            "/publish/{room}",
            share=0.2,
        )
    finally:
        nginx.kill()
        redis.kill()


def _has_redis(port: int) -> bool:
    """Until it has found its Redis it answers 503 to everything; of a channel without messages it then says 404."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as probe:
        probe.request("GET", "/publish/nothing")
        return probe.getresponse().status == 404


def versions() -> str:
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"], capture_output=True, text=True, check=False
    )
    nchan = re.search(r"\d+\.\d+\.\d+", said.stdout)
    return f"{nchan[0] if nchan else ''} in nginx {version(program('nginx'), '-v')}".strip()


PEER = Peer("Nchan", missing, running, versions)
