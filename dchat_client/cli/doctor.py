"""dchat doctor."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from dchat_client.cli.face import Face
from dchat_client.cli.program import FAILED, UNREACHABLE, exit_code
from dchat_client.config import ConfigError
from dchat_client.errors import ChatError, os_words
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection

_HELLO_WITHIN_S = 10.0
_SKEW_S = 30.0


class Finding(Exception):
    """A check that failed: what is wrong, what to do, and the exit code it stands for."""

    def __init__(self, words: str, next_step: str, code: int = FAILED) -> None:
        super().__init__(words)
        self.words = words
        self.next_step = next_step
        self.code = code


@click.command("doctor")
@click.pass_context
def doctor_command(ctx: click.Context) -> None:
    """Check the configuration, the way to the server, the server itself and the sign-in, one line each.

    Ends with 0 when all is well, else with the code of the first failure.
    """
    code = asyncio.run(_Doctor(ctx.obj).run())
    if code:
        ctx.exit(code)


class _Doctor:
    def __init__(self, face: Face) -> None:
        self._face = face
        self._code = 0
        self._hello: dict[str, Any] = {}

    async def run(self) -> int:
        """Return the exit code after printing a line for each check."""
        if not await self._check("configuration", self._configuration):
            return self._code
        reachable = [await self._server(url) for url in self._face.profile.urls]
        if not any(reachable):
            self._skip("sign-in", "no server was reached")
            return self._code
        if await self._check("sign-in", self._sign_in):
            await self._check("event stream", self._stream)
            if self._hello:
                await self._check("clock", self._clock)
        return self._code

    async def _server(self, url: str) -> bool:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if not await self._check(f"name {host}", lambda: self._name(host, port)):
            return False
        if not await self._check(f"connection to {host} port {port}", lambda: self._connect(host, port)):
            return False
        if not await self._check(f"{url}/healthz", lambda: self._probe(url, "/healthz", "the process does not serve")):
            return False
        return await self._check(
            f"{url}/readyz", lambda: self._probe(url, "/readyz", "it is starting, draining or without Redis")
        )

    async def _configuration(self) -> str:
        try:
            profile = self._face.profile
            _ = self._face.token
        except ConfigError as error:
            raise Finding(str(error), "See docs/cli.md, Profiles.", 2) from None
        where = self._face.folders.config_file
        kept = str(where) if where.exists() else f"no {where} yet"
        return f"profile {profile.name}, server {profile.url}, {kept}"

    async def _name(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Finding(os_words(error), "Check the spelling of the address and your DNS.", UNREACHABLE) from None
        return ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))

    async def _connect(self, host: str, port: int) -> str:
        began = time.monotonic()
        try:
            async with asyncio.timeout(5):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            raise Finding("no answer within 5 s", "A firewall may be in between.", UNREACHABLE) from None
        except OSError as error:
            raise Finding(os_words(error), "Is the server running there? Is the port right?", UNREACHABLE) from None
        writer.close()
        return f"{(time.monotonic() - began) * 1000:.1f} ms"

    async def _probe(self, url: str, path: str, meaning: str) -> str:
        from dchat_client.connection import Connection

        async with Connection([url]) as connection:
            status, _, _ = await connection.probe(path)
        if status == 404:
            raise Finding("status 404", "Something else than D-Chat answers there; check the address.", UNREACHABLE)
        if status != 200:
            raise Finding(f"status {status}", f"The server says: {meaning}. Its log tells more.", UNREACHABLE)
        return "status 200"

    async def _sign_in(self) -> str:
        async with self._face.connection() as connection:
            user = (await connection.request("GET", "/v1/me")).get("user") or {}
        return f"as {user.get('username')}"

    async def _stream(self) -> str:
        began = time.monotonic()
        async with self._face.connection() as connection:
            try:
                async with asyncio.timeout(_HELLO_WITHIN_S):
                    self._hello = await _first_hello(connection)
            except TimeoutError:
                raise Finding(
                    f"no hello within {_HELLO_WITHIN_S:g} s",
                    "A proxy may hold the stream back: switch its buffering off for /v1/events.",
                ) from None
        took = time.monotonic() - began
        return f"hello from worker {self._hello.get('worker')} after {took * 1000:.0f} ms"

    async def _clock(self) -> str:
        try:
            theirs = datetime.fromisoformat(str(self._hello.get("time")))
            skew = (datetime.now(UTC) - theirs).total_seconds()
        except (ValueError, TypeError):
            raise Finding("the server told no time", "Is the server of the same version?") from None
        if abs(skew) > _SKEW_S:
            ahead = "ahead of" if skew > 0 else "behind"
            raise Finding(
                f"this machine is {abs(skew):.0f} s {ahead} the server",
                "Set the clock (NTP): times will be shown wrong, though nothing is lost.",
            )
        return f"{abs(skew):.1f} s apart"

    async def _check(self, name: str, check: Callable[[], Awaitable[str]]) -> bool:
        try:
            words = await check()
        except Finding as finding:
            self._fail(name, finding)
            return False
        except ChatError as error:
            self._fail(name, Finding(error.detail, error.next_step or "", exit_code(error)))
            return False
        self._face.data(f"{self._face.style.good('ok  ')} {clean(name)}: {clean(words)}")
        return True

    def _fail(self, name: str, finding: Finding) -> None:
        self._code = self._code or finding.code
        self._face.data(f"{self._face.style.bad('fail')} {clean(name)}: {clean(finding.words)}")
        if finding.next_step:
            self._face.data(f"     {clean(finding.next_step)}")

    def _skip(self, name: str, why: str) -> None:
        self._face.data(f"{self._face.style.dim('skip')} {name}: {why}")


async def _first_hello(connection: Connection) -> dict[str, Any]:
    from dchat_client.follow import follow
    from dchat_client.items import StatusChanged
    from dchat_client.session import Session

    async with aclosing(follow(connection, Session(), first_patience_s=0)) as items:
        async for item in items:
            if isinstance(item, StatusChanged) and item.hello is not None:
                return item.hello
    return {}
