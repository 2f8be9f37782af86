"""socket.io (https://socket.io) with its adapter for Redis Streams, over websocket, on Node.js.

What it needs from npm is kept in the user's cache folder, never in the tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import Generator, Server
from benchmarks.peers.peer import HERE, Peer, program, version
from benchmarks.setting import NoServer, Setting, free_port

FILES = HERE / "socketio"
INSTALL_S = 120


def folder() -> Path:
    """Where its packages are: another folder for other versions."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dchat-benchmarks" / f"socketio-{hashlib.sha256(_wanted()).hexdigest()[:12]}"


def missing(generator: Generator) -> str:
    if not program("node"):
        return "apt-get install nodejs npm"
    return "" if installed() else "make bench fetches it from npm (apt-get install npm)"


def installed() -> bool:
    return (folder() / "installed").exists()


def install() -> None:
    """Fetch its packages, some 18 MB. Raises NoServer."""
    if not program("npm"):
        raise NoServer("npm is not here: apt-get install nodejs npm")
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(FILES / "package.json", place)
    command = [program("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(place)]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoServer(f"npm install took longer than {INSTALL_S} s") from error
    if done.returncode:
        raise NoServer(f"npm install failed:\n{done.stderr[-1000:]}")
    (place / "installed").touch()


@contextmanager
def running(setting: Setting, generator: Generator) -> Iterator[Server]:
    port, redis = free_port(), setting.start_redis()
    command = [program("node"), str(FILES / "server.js"), str(port), str(redis.port)]
    modules = str(folder() / "node_modules")
    node = setting.start_peer("socketio", command, port, NODE_PATH=modules, NODE_ENV="production")
    socket = "/socket.io/?EIO=4&transport=websocket&"
    try:
        yield Server(
            PEER.name, port, {"node": node.pid, "Redis": redis.pid}, "socketio", (),
            socket + "room={room}", socket + "to={room}", share=0.2,
        )  # fmt: skip
    finally:
        node.kill()
        redis.kill()


def versions() -> str:
    wanted = json.loads(_wanted())["dependencies"]
    adapter = "@socket.io/redis-streams-adapter"
    return f"{wanted['socket.io']}, {adapter} {wanted[adapter]}, Node.js {version(program('node'), '--version')}"


def _wanted() -> bytes:
    return (FILES / "package.json").read_bytes()


PEER = Peer("socket.io", missing, running, versions)
