"""An image's files, run as its settings say: as its user, with a root that cannot be written to."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.stack.tools import Broken, Tools

PATIENCE_S = 60
STOP_S = 20
"""Within this the server has to end when it is told to: `stop_grace_period` of docker-compose.yml."""

ENTER = """
mount --bind {root} {root}
mount -o remount,bind,ro {root}
mount -t tmpfs none {root}/tmp
mount -t proc none {root}/proc
mount --bind /dev {root}/dev
mount --bind {volume} {root}{place}
exec chroot --userspec={user} --groups= {root} /usr/bin/env -i -C {place} {environment} {command}
"""


@dataclass(frozen=True)
class Image:
    files: Path
    user: str
    environment: dict[str, str]
    volume: str
    command: tuple[str, ...]
    healthcheck: tuple[str, ...]
    stop_signal: str

    @classmethod
    def of(cls, files: Path, settings: dict[str, Any]) -> Self:
        """`settings` is the image's `config`, as Docker writes it."""
        (volume,) = settings["Volumes"]
        kind, *healthcheck = settings["Healthcheck"]["Test"]
        assert kind == "CMD"
        return cls(
            files,
            settings["User"],
            dict(each.split("=", 1) for each in settings["Env"]),
            volume,
            tuple(settings["Cmd"]),
            tuple(healthcheck),
            settings["StopSignal"],
        )


class Container:
    """`image` with `volume` for its data, in a mount namespace of its own; the network is the machine's."""

    def __init__(self, tools: Tools, image: Image, volume: Path) -> None:
        self._tools, self._image, self._volume = tools, image, volume
        user, group = image.user.split(":")
        volume.mkdir()
        os.chown(volume, int(user), int(group))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def prove(self) -> None:
        """Start it, talk with it, stop it, and start it again. Raises Broken with what is not as it should be."""
        user = self._image.user.split(":")[0]
        self._wants(user != "0" and self.run("id", "-u") == user, "runs as another user than it says")
        owned = self._tools.run("find", self._image.files, "-uid", user, "-o", "-gid", user).split()
        home = str(self._image.files) + self._image.volume
        self._wants(all(path.startswith(home) for path in owned), "owns what it should not", "\n".join(owned))

        first = self.start()
        self.run("dchat", "register", "ada", "--password-stdin", say="correct horse battery\n")
        self.run("dchat", "create", "lobby")
        self.run("dchat", "send", "lobby", "kept in the volume")
        self.stop(first)

        second = self.start()
        self._wants("kept in the volume" in self.run("dchat", "history", "lobby"), "lost a message with its container")
        self.stop(second)

    def start(self) -> subprocess.Popen[str]:
        """Its server, once its own health check is content."""
        server = subprocess.Popen(
            self._argv(self._image.command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.run(*self._image.healthcheck)
            except Broken:
                if server.poll() is not None or time.monotonic() > deadline:
                    server.kill()
                    raise Broken("the server is not well", server.communicate()[0]) from None
                time.sleep(0.2)
            else:
                return server

    def stop(self, server: subprocess.Popen[str]) -> None:
        server.send_signal(getattr(signal, self._image.stop_signal))
        try:
            said = server.communicate(timeout=STOP_S)[0]
        except subprocess.TimeoutExpired:
            server.kill()
            raise Broken(f"the server did not stop within {STOP_S} s", server.communicate()[0]) from None
        self._wants(server.returncode == 0, f"ended with {server.returncode}", said)

    def run(self, *command: str, say: str = "") -> str:
        """What `command` prints in the container. Raises Broken."""
        try:
            return self._tools.run(*self._argv(command), say=say).strip()
        except Broken as error:
            raise Broken(f"in the container: {shlex.join(command)}", error.output) from None

    def _argv(self, command: tuple[str, ...]) -> list[str]:
        image = self._image
        environment = image.environment | {
            "DCHAT_HOST": "127.0.0.1",
            "DCHAT_PORT": str(self._port),
            "DCHAT_URL": f"http://127.0.0.1:{self._port}",
            "DCHAT_KEYRING": "off",
            "HOME": image.volume,
        }
        script = ENTER.format(
            root=image.files,
            volume=self._volume,
            place=image.volume,
            user=image.user,
            environment=shlex.join(f"{name}={value}" for name, value in environment.items()),
            command=shlex.join(command),
        )
        return ["unshare", "--mount", "--propagation=private", "sh", "-euc", script]

    @staticmethod
    def _wants(holds: bool, otherwise: str, said: str = "") -> None:
        if not holds:
            raise Broken(f"the container {otherwise}", said)
