"""One worker with its real routes, on a port of its own, over the log in memory. A person's token is their name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import aiohttp
from aiohttp import web

from dchat_server.attach import Opener
from dchat_server.cluster import Cluster
from dchat_server.config import Config
from dchat_server.dashboards import Dashboards
from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.history import History
from dchat_server.http import front
from dchat_server.http.parts import ACCOUNTS, CLUSTER, CONFIG, DASHBOARDS, INSPECTOR, LIMITER, SLOTS
from dchat_server.http.problems import problems
from dchat_server.http.routes import add_routes
from dchat_server.http.worker import WORKER, Worker
from dchat_server.hub import Hub
from dchat_server.inspection import Inspector
from dchat_server.limits import UserLimits
from dchat_server.model import Control
from dchat_server.ports_cluster import Leader, Member
from dchat_server.principals import Principal
from dchat_server.publish import Publisher
from dchat_server.pump import Pump
from dchat_server.rooms import Rooms
from dchat_server.slots import Slots
from dchat_server.typists import Typists
from tests.cluster_fakes import FakeInspected, FakeLeadership, MemoryBoard
from tests.fakes import MemoryCluster, MemoryFeed, MemoryNodes, MemoryRoomLog, MemoryRoomStore
from tests.in_memory import MemoryBuckets, MemorySlotStore

PEOPLE = ("ada", "bob", "cat", "eve")


class Names:
    """Stands in for `Accounts`: whoever is in PEOPLE is signed in by their name."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.expires_at: int | None = None
        self.admins: set[str] = set()
        self.unknown: asyncio.Event | None = None
        """While it is there, nobody can say who is who; who asks waits for it."""

    def peek(self, token: str) -> Principal | None:
        if self.unknown is not None or token not in PEOPLE or f"digest of {token}" in self.revoked:
            return None
        admin = token in self.admins
        scopes = frozenset({"read", "write", *(["admin"] if admin else [])})
        return Principal(token, admin, scopes, f"digest of {token}", token, self.expires_at, token.title())

    def at(self, digest: str) -> Principal | None:
        return next((self.peek(token) for token in PEOPLE if sha256(token.encode()).hexdigest() == digest), None)

    async def authenticate(self, token: str) -> Principal:
        if self.unknown is not None:
            await self.unknown.wait()
            raise BackendUnavailable
        raise ChatError("unauthorized")

    async def redeem_ticket(self, ticket: str) -> Principal:
        if self.unknown is not None:
            raise BackendUnavailable
        principal = self.peek(ticket.removeprefix("ticket of "))
        if principal is None:
            raise ChatError("unauthorized")
        return principal

    def is_revoked(self, digest: str) -> bool:
        return digest in self.revoked

    async def profiles(self, names: Sequence[str]) -> dict[str, str]:
        return {name: name.title() for name in names if name in PEOPLE}

    async def dead_among(self, tokens: Mapping[str, str]) -> frozenset[str]:
        return frozenset(tokens) & self.revoked

    async def me(self, who: Principal) -> dict[str, Any]:
        return {"username": who.user}


@dataclass
class Here:
    """What a test gets: the worker, what it stands on, and how to reach it."""

    worker: Worker
    cluster: MemoryCluster
    log: MemoryRoomLog
    store: MemoryRoomStore
    names: Names
    slots: Slots
    server: web.Server[Any]
    port: int
    http: aiohttp.ClientSession
    board: MemoryBoard
    leadership: FakeLeadership
    dashboards: Dashboards
    rooms: FakeInspected
    """What is known of rooms in the log and in the archive, for `/v1/cluster/rooms`."""
    closers: list[Callable[[], None]] = field(default_factory=list)
    """Called at the end, whatever became of the test."""

    async def room(self, name: str, *members: str, kind: str = "public") -> None:
        roles = {user: "owner" if user == members[0] else "member" for user in members}
        assert await self.store.create(name, kind, members[0], roles, topic="", display_name=name)

    async def call(
        self, method: str, path: str, user: str | None = "ada", *, json: Any = None, **more: Any
    ) -> tuple[int, Any]:
        """(status, body as JSON) of a request."""
        headers = more.pop("headers", {})
        if user is not None:
            headers = {"Authorization": f"Bearer {user}", **headers}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.request(method, url, json=json, headers=headers, **more) as response:
            body = await response.read()
            told = await response.json(content_type=None) if body else None
            assert (response.status < 400) or response.content_type == "application/problem+json"
            return response.status, told

    async def caught_up(self) -> None:
        """Wait until the hub has read all that was written."""
        places = self.worker.hub.cursor.positions
        await self.until(lambda: [each.offset for each in places] == [shard.head for shard in self.cluster.shards])

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.003)


@asynccontextmanager
async def one_worker(*, settings: dict[str, str] | None = None, streams_per_user: int = 0) -> AsyncIterator[Here]:
    """`settings` are DCHAT_* variables."""
    config = Config.from_env({"DCHAT_RATE_MESSAGES": "0", **(settings or {})})
    cluster = MemoryCluster(4)
    nodes = MemoryNodes(cluster)
    log, store, feed = MemoryRoomLog(nodes), MemoryRoomStore(nodes), MemoryFeed(nodes)
    places = await feed.start(0)

    def on_control(control: Control) -> None:
        in_cluster.on_control(control)

    hub = Hub([places[shard] for shard in range(4)], cluster.shard, on_control=on_control)
    pump = Pump(feed, hub, log)
    history, buckets, names = History(log), MemoryBuckets(), Names()
    limits = UserLimits(
        buckets, messages_per_s=config.rate_messages, messages_burst=config.rate_burst, rooms_per_day=100
    )
    slots = Slots(MemorySlotStore(), "w1", streams_per_user)
    worker = Worker(
        name="w1",
        config=config,
        hub=hub,
        pump=pump,
        opener=Opener(hub, pump, log, store, nodes.state, "w1"),
        publisher=Publisher(log, history, limits.messages, max_message_bytes=config.max_message_bytes),
        history=history,
        rooms=Rooms(store, log),
        typists=Typists(store),
        started=time.monotonic(),
        max_streams=1000,
    )
    me = Member("w1", "127.0.0.1:5000", "1.2.3", 1_764_000_000_000, 0)
    leadership, board, inspected = FakeLeadership(Leader("w1", 7), [me]), MemoryBoard(cluster), FakeInspected()
    in_cluster = Cluster(me, worker, leadership, board, kinds=config.kinds, notice_s=0.05)
    dashboards = Dashboards(
        in_cluster, is_revoked=names.is_revoked, dead_among=names.dead_among, every_s=0.05, ping_s=0.2
    )
    app = web.Application(middlewares=[problems], client_max_size=config.max_batch_bytes)
    app[WORKER], app[LIMITER], app[SLOTS], app[CONFIG] = worker, limits, slots, config
    app[CLUSTER], app[DASHBOARDS] = in_cluster, dashboards
    app[INSPECTOR] = Inspector(inspected, inspected, inspected.verify)  # type: ignore[arg-type]
    app[ACCOUNTS] = names  # type: ignore[misc]
    add_routes(app)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    front.install(runner, app)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    pump.start()
    in_cluster.start()
    watching = asyncio.ensure_future(dashboards.run())  # apart: tests look at the worker's own tasks
    assert runner.server is not None
    async with aiohttp.ClientSession() as http:
        here = Here(
            worker,
            cluster,
            log,
            store,
            names,
            slots,
            runner.server,
            port,
            http,
            board,
            leadership,
            dashboards,
            inspected,
        )
        try:
            yield here
        finally:
            for close in here.closers:
                close()
            for stream in hub.streams():
                hub.close(stream)
            for task in list(worker.tasks):
                task.cancel()
            await asyncio.gather(*worker.tasks, return_exceptions=True)
            dashboards.send_away()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await in_cluster.stop()
            await pump.stop()
            await slots.stop()
            await runner.cleanup()
