"""One ZooKeeper session, seen from the loop: connecting, TLS and login, requests with time-outs, the news of its loss.

Theory of operation. A kazoo client lives for one session and never for a second: when the session is lost, or has been
cut off for longer than it could live, the client is thrown away and the next one starts with nothing. That spares us
what kazoo does with a client that outlives its session: it says CONNECTED 10 ms after LOST, and to an ensemble that
was wiped it never comes back at all, because it insists on the last transaction id it saw.

Three kinds of threads. kazoo's own, one of which calls our listener: that one latches the loss (`losses` rises, and
whoever registered with `on_loss` is told in that very moment) and calls into the loop, nothing else, for a kazoo call
made there would wait for itself. One thread of ours, a daemon, makes all calls one after the other, each with a
time-out, and starts and stops the client, which blocks for seconds when the other side is frozen. And the loop,
which awaits their outcome.

kazoo writes passwords into its debug log. So its log goes no further than `_Heard`, which drops debug lines and keeps
the last warning, to say why there is no connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from kazoo.client import KazooClient  # type: ignore[import-untyped]
from kazoo.exceptions import KazooException, NodeExistsError, NoNodeError  # type: ignore[import-untyped]
from kazoo.handlers.threading import KazooTimeoutError  # type: ignore[import-untyped]
from kazoo.protocol.states import KazooState  # type: ignore[import-untyped]
from kazoo.retry import KazooRetry  # type: ignore[import-untyped]
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE  # type: ignore[import-untyped]

from dchat_server.adapters.call_thread import CallThread

log = structlog.get_logger("dchat.zookeeper")

SAY_S = 1.5
"""How long a connection may take before it is worth a log line."""

Watch = Callable[[Any], None]
"""What kazoo's thread calls once when something has changed. The same one may be given again and again."""


class ZooKeeperTrouble(Exception):
    """No answer, or a refusal. Whether what was asked has happened is unknown."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to get at an ensemble. `hosts` is host:port,host:port with an optional /folder, in which everything is kept.

    With a login, digest or SASL (both "user:password"), all nodes are created for that login alone. `ca` turns TLS on,
    which then checks the servers' certificates and the names in them; all three are paths of PEM files. `generation`
    counts the ensembles there have been: fences of a later one are above all of an earlier one.
    """

    hosts: str
    session_s: float = 10.0
    digest: str | None = field(default=None, repr=False)
    sasl: str | None = field(default=None, repr=False)
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    generation: int = 0

    @property
    def servers(self) -> str:
        return self.hosts.partition("/")[0]

    @property
    def root(self) -> str:
        """The node under which D-Chat keeps its own. The folder is put in front here and not by kazoo, which would not
        create it."""
        folder = self.hosts.partition("/")[2].strip("/")
        return f"/{folder}/dchat" if folder else "/dchat"

    @property
    def acl(self) -> Sequence[Any]:
        acl: Sequence[Any] = CREATOR_ALL_ACL if self.digest or self.sasl else OPEN_ACL_UNSAFE
        return acl


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it was read. `czxid` is the id of the transaction that created it, `owner` the session it ends with."""

    data: bytes
    version: int
    czxid: int
    owner: int


class Session:
    """One session, from connecting to its end. `open` it once, `close` it always.

    All requests take one round trip unless they say otherwise, and raise ZooKeeperTrouble; NoNodeError and
    NodeExistsError come as they are.
    """

    def __init__(self, access: Access, on_state: Callable[[], None]) -> None:
        """`on_state` is called in the loop after each change of `state`."""
        self._access, self._on_state = access, on_state
        self._loop = asyncio.get_running_loop()
        self._thread = CallThread("dchat-zookeeper")
        self._heard = _Heard()
        self._changed = asyncio.Event()
        self._timeout_s = 0.0
        self._client: Any = None
        self._over = False
        self.losses = 0
        """How often the connection was lost, as kazoo's thread counts it: ahead of the loop."""
        self.on_loss: Callable[[str], None] | None = None
        """Called by kazoo's thread the moment a loss is noticed. It must not block nor raise."""
        self.state = "lost"
        """`connected`, `suspended` or `lost`, as the loop has heard."""

    @property
    def id(self) -> int:
        """The session's number. Raises ZooKeeperTrouble while there is none."""
        found = self._client.client_id if self._client is not None else None
        if not found or not found[0]:
            raise ZooKeeperTrouble("there is no session")
        return int(found[0])

    @property
    def timeout_s(self) -> float:
        """After so long without a word from us the ensemble ends the session: what was asked for, within the
        ensemble's own limits. Known once a request was answered; 0 before."""
        return self._timeout_s

    # Its life

    async def open(self) -> None:
        """Connect and log in, while there is time for each of the servers to be tried once and not to answer. Raises
        ZooKeeperTrouble, after which the session is to be closed all the same."""
        servers, session_s = self._access.servers, self._access.session_s
        await self._wait(self._thread.run(self._start), session_s)
        try:
            with suppress(ZooKeeperTrouble):
                return await self.until_connected(SAY_S)
            log.warning("zookeeper_away", error=self._heard.last or "no answer", servers=servers)
            await self.until_connected(session_s * (servers.count(",") + 2))
        except ZooKeeperTrouble as error:
            raise ZooKeeperTrouble(self._heard.last or str(error)) from error

    async def until_connected(self, timeout_s: float) -> None:
        """Wait for a connection. Raises ZooKeeperTrouble when there is none in time, or there never will be."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.state != "connected":
                    if self._over:
                        raise ZooKeeperTrouble("the session has ended")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise ZooKeeperTrouble(f"no connection within {timeout_s:g} s") from None

    async def until_lost(self, losses: int) -> None:
        """Wait until the connection is lost, or has been since there were `losses` losses."""
        while self.state == "connected" and self.losses <= losses and not self._over:
            self._changed.clear()
            await self._changed.wait()

    async def close(self, timeout_s: float) -> None:
        """End the session, which removes its ephemeral nodes at once if anybody listens. Waits no longer than this for
        a frozen server; the thread goes on alone. May be called again."""
        self._over, self.on_loss = True, None
        try:
            await self._wait(self._thread.end(self._stop), timeout_s)
        except ZooKeeperTrouble:
            log.warning("zookeeper_session_not_closed", waited_s=timeout_s)
        self.state = "lost"

    # Requests

    async def ensure(self, path: str) -> None:
        """Have a node at `path`, and those above it. A round trip or two for each."""
        await self._call(lambda client: client.ensure_path_async(path))

    async def create(self, path: str, data: bytes, *, sequence: bool = False) -> tuple[str, Node]:
        """Create an ephemeral node; its path, which goes on with a number when `sequence`, and the node."""
        made, stat = await self._call(
            lambda client: client.create_async(path, data, ephemeral=True, sequence=sequence, include_data=True)
        )
        return str(made), _node((data, stat))

    async def get(self, path: str) -> Node:
        return _node(await self._call(lambda client: client.get_async(path)))

    async def get_all(self, paths: Sequence[str]) -> list[Node | None]:
        """The nodes at these paths, None for each that is not there or may not be read. One round trip."""
        found = await self._call(lambda client: [client.get_async(path) for path in paths])
        return [_node(each) if isinstance(each, tuple) else None for each in found]

    async def set(self, path: str, data: bytes) -> None:
        await self._call(lambda client: client.set_async(path, data))

    async def delete(self, path: str, version: int = -1, timeout_s: float | None = None) -> None:
        """Delete a node, if it has this version. One that is not there raises nothing."""
        with suppress(NoNodeError):
            await self._call(lambda client: client.delete_async(path, version), timeout_s)

    async def children(self, path: str, watch: Watch | None = None, timeout_s: float | None = None) -> list[str]:
        """Names of the nodes below `path`. `watch` is called when one comes or goes."""
        found = await self._call(lambda client: client.get_children_async(path, watch), timeout_s)
        return list(found)

    async def exists(self, path: str, watch: Watch) -> bool:
        """Whether there is such a node. `watch` is called when it goes, comes, or changes."""
        return await self._call(lambda client: client.exists_async(path, watch)) is not None

    async def confirm(self, path: str, timeout_s: float) -> bool:
        """Whether the node is there, of which the ensemble's leader has had its say: a server that is cut off from it
        does not answer. Two requests, sent together."""
        synced, stat = await self._call(
            lambda client: [client.sync_async(path), client.exists_async(path)], max(timeout_s, 0.001)
        )
        for each in (synced, stat):
            if isinstance(each, Exception):
                raise ZooKeeperTrouble(_words(each)) from each
        return stat is not None

    async def _call(self, ask: Callable[[Any], Any], timeout_s: float | None = None) -> Any:
        """What is answered to `ask`, which begins one request, or a list of them: then a list, with exceptions in the
        place of answers."""
        limit_s = min(timeout_s or self._access.session_s, self._access.session_s)

        def ask_and_wait() -> Any:
            began = ask(self._client)
            if not isinstance(began, list):
                return began.get(timeout=limit_s)
            ends = time.monotonic() + limit_s
            return [_outcome(each, max(0.0, ends - time.monotonic())) for each in began]

        try:
            return await self._wait(self._thread.run(ask_and_wait), limit_s)
        except (NoNodeError, NodeExistsError, ZooKeeperTrouble):
            raise
        except KazooTimeoutError:
            raise ZooKeeperTrouble(f"no answer within {limit_s:g} s") from None
        except (KazooException, AttributeError, OSError, RuntimeError) as error:
            # kazoo fails with whatever its broken connection happens to lack.
            raise ZooKeeperTrouble(_words(error)) from error

    async def _wait(self, future: Future[Any], timeout_s: float) -> Any:
        try:
            # Somewhat longer than the thread waits, whose own word says more.
            async with asyncio.timeout(timeout_s + 0.5):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise ZooKeeperTrouble(f"nothing within {timeout_s:g} s") from None

    def _hear(self, state: str) -> None:
        if not self._over:  # kazoo would go on with another session
            self.state = state
            self._over = state == "lost"
        self._changed.set()
        self._on_state()

    # In our thread

    def _start(self) -> None:
        access = self._access
        user, _, password = (access.sasl or "").partition(":")
        retry = {"max_tries": -1, "delay": 0.05, "backoff": 2, "max_jitter": 0.4, "max_delay": 1.0}
        client = KazooClient(
            access.servers,
            timeout=access.session_s,
            auth_data=[("digest", access.digest)] if access.digest else None,
            sasl_options={"mechanism": "DIGEST-MD5", "username": user, "password": password} if access.sasl else None,
            default_acl=access.acl,
            connection_retry=KazooRetry(**retry),
            logger=self._heard,
            use_ssl=access.ca is not None,
            ca=access.ca,
            certfile=access.cert,
            keyfile=access.key,
            check_hostname=access.ca is not None,
        )
        # kazoo negotiates the time-out and tells nobody.
        connection = client._connection
        connect = connection._connect

        def connect_and_note(*where: Any) -> tuple[float, float]:
            read_ms, connect_ms = connect(*where)
            self._timeout_s = read_ms / 1000 * 3 / 2
            return read_ms, connect_ms

        connection._connect = connect_and_note
        client.add_listener(self._latch)
        self._client = client
        client.start_async()

    def _stop(self) -> None:
        if self._client is not None:
            try:
                self._client.stop()
                self._client.close()
            except Exception as error:
                log.warning("zookeeper_client_not_closed", error=_words(error))

    # In kazoo's thread

    def _latch(self, state: str) -> None:
        word = {KazooState.CONNECTED: "connected", KazooState.SUSPENDED: "suspended"}.get(state, "lost")
        if word != "connected":
            self.losses += 1
            if self.on_loss is not None:
                self.on_loss(f"session {word}")
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hear, word)


class _Heard(logging.Logger):
    """kazoo's log: nothing below a warning is even formatted, and the last warning is kept."""

    def __init__(self) -> None:
        super().__init__("kazoo", logging.WARNING)
        self.last = ""
        self.addHandler(_Keep(self))


class _Keep(logging.Handler):
    def __init__(self, where: _Heard) -> None:
        super().__init__()
        self._where = where

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._where.last = _words(record.exc_info[1])[:300]
        elif (text := record.getMessage()) != "Transition to CONNECTING":
            self._where.last = text[:300]


def _node(answer: tuple[bytes, Any]) -> Node:
    data, stat = answer
    return Node(data, stat.version, stat.czxid, stat.ephemeralOwner)


def _outcome(began: Any, timeout_s: float) -> Any:
    """The answer of one request of several, or the exception it ended with."""
    try:
        return began.get(timeout=timeout_s)
    except (KazooException, KazooTimeoutError) as error:
        return error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
