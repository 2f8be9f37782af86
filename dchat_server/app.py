"""One worker, put together: the only file that knows every adapter."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiohttp import web

from dchat_server import __version__, backends
from dchat_server.accounts import Accounts
from dchat_server.adapters.redis_feed import RedisFeed, position_at
from dchat_server.adapters.redis_limits import RedisLimits
from dchat_server.adapters.redis_slots import RedisSlotStore
from dchat_server.attach import Opener
from dchat_server.backends import START_S, Backends
from dchat_server.cluster import Cluster
from dchat_server.config import Config
from dchat_server.cursor import Cursor
from dchat_server.dashboards import Dashboards
from dchat_server.drain import notice_of, send_away
from dchat_server.errors import BackendUnavailable, ChatError, ClusterMismatch
from dchat_server.history import History
from dchat_server.http import front, request_ids, traced
from dchat_server.http.metrics import Figures
from dchat_server.http.ops import REGISTRY, registry_of
from dchat_server.http.parts import ACCOUNTS, CLUSTER, CONFIG, DASHBOARDS, INSPECTOR, LIMITER, SLOTS, TRACING
from dchat_server.http.problems import problems
from dchat_server.http.routes import add_routes
from dchat_server.http.worker import WORKER, Worker
from dchat_server.hub import Hub
from dchat_server.inspection import Inspector, Progress
from dchat_server.limits import UserLimits
from dchat_server.model import Control, iso
from dchat_server.passwords import Passwords
from dchat_server.ports_cluster import Member
from dchat_server.publish import Publisher
from dchat_server.pump import Pump
from dchat_server.rooms import Rooms
from dchat_server.slots import REFRESH_S, Slots
from dchat_server.stream import REPLAYING
from dchat_server.tracing import KIND, Deliveries, Tracing
from dchat_server.typists import Typists
from dchat_server.verify import verify
from dchat_server.wire import control_frame

log = structlog.get_logger("dchat.worker")

PING_SLOTS = 15
KEEP_ALIVE_S = 125
"""Longer than the idle time-out of the balancer in front (120 s), or clients see 502."""
TRUST_S = 3.0
"""How old the feed's last sign of life may be for remembered tokens to be believed: an idle feed gives one in 2 s."""
SPARE_FILES = 256
"""File descriptors kept for requests, Redis and the log: with none left, not even a 503 could be given."""
LISTEN_BACKLOG = 4096


@asynccontextmanager
async def running_worker(config: Config, redis_url: str, name: str) -> AsyncIterator[web.Application]:
    """A worker's application with everything behind it running. Raises BackendUnavailable, ClusterMismatch."""
    async with tracing_of(config, name) as tracing, backends.opened(config, redis_url, name, tracing) as parts:
        nodes = parts.nodes
        feed, buckets = RedisFeed(nodes), RedisLimits(nodes)
        limits = UserLimits(
            buckets,
            messages_per_s=config.rate_messages,
            messages_burst=config.rate_burst,
            rooms_per_day=config.rooms_per_day,
        )
        accounts = Accounts(
            parts.account_store,
            buckets,
            Passwords(),
            shards=config.shards,
            registration=config.registration,
            logins_per_minute=config.login_per_minute,
        )
        slots = Slots(RedisSlotStore(nodes), name, config.streams_per_user)

        def on_control(control: Control) -> None:
            accounts.on_control(control)
            cluster.on_control(control)
            if deliveries is not None and control.type == KIND:
                deliveries.expect(control.body)

        positions = await feed.start(backlog=1000)
        hub = Hub(
            [positions[shard] for shard in range(config.shards)],
            nodes.keys.shard,
            on_control=on_control,
            slots=PING_SLOTS,
        )
        deliveries = None
        if tracing is not None:
            deliveries = hub.trail = Deliveries(tracing, hub.audience)
        pump = Pump(feed, hub, parts.timeline, on_break=lambda: worker.spawn(_close_dead(worker, accounts)))
        history = History(parts.timeline)
        worker = Worker(
            name=name,
            config=config,
            hub=hub,
            pump=pump,
            opener=Opener(hub, pump, parts.timeline, parts.room_store, nodes.state, name),
            publisher=Publisher(parts.timeline, history, limits.messages, max_message_bytes=config.max_message_bytes),
            history=history,
            rooms=Rooms(parts.room_store, parts.timeline),
            typists=Typists(parts.room_store),
            started=time.monotonic(),
            max_streams=stream_limit(config),
        )
        me = Member(name, address_of(config), __version__, int(time.time() * 1000), 0)
        cluster = Cluster(
            me,
            worker,
            parts.leadership,
            parts.board,
            leading=lambda: parts.leader.state,
            kinds=config.kinds,
            notice_s=notice_of(config.drain_s),
        )
        dashboards = Dashboards(
            cluster, is_revoked=accounts.is_revoked, dead_among=accounts.dead_among, ping_s=config.ping_interval_s
        )

        async def verified(room: str, progress: Progress) -> Mapping[str, Any]:
            return await verify(parts.archive, parts.hot, room, progress)

        app = web.Application(middlewares=[problems], client_max_size=config.max_batch_bytes)
        app.on_response_prepare.append(request_ids.name_it)
        app[WORKER] = worker
        app[ACCOUNTS], app[LIMITER], app[SLOTS], app[CONFIG] = accounts, limits, slots, config
        app[CLUSTER], app[DASHBOARDS] = cluster, dashboards
        if tracing is not None:
            app[TRACING] = tracing
        app[INSPECTOR] = Inspector(parts.hot, parts.archive, verified)
        app[REGISTRY] = registry_of(worker, figures_of(parts, cluster, dashboards, tracing))
        add_routes(app)
        pump.start()
        worker.spawn(_tick(worker, accounts))
        worker.spawn(_refresh(slots, accounts))
        worker.spawn(dashboards.run())
        try:
            heads = [position_at(nodes.state(shard), nodes.state(shard).head) for shard in range(config.shards)]
            await pump.reach(Cursor(tuple(heads)), START_S)  # the backlog is for the windows, and news to nobody
            cluster.start()
            await parts.leadership.start(me)
            worker.spawn(parts.leader.run())
            yield app
        finally:
            await parts.leadership.stop()
            for task in list(worker.tasks):
                task.cancel()
            await asyncio.gather(*worker.tasks, return_exceptions=True)
            await cluster.stop()
            await pump.stop()
            await slots.stop()
            accounts.stop()


@asynccontextmanager
async def tracing_of(config: Config, name: str) -> AsyncIterator[Tracing | None]:
    """Where this worker's spans go; None when nothing is traced."""
    if not config.traces:
        yield None
        return
    from dchat_server.adapters.otel import OtelTracing  # an extra, which takes a while to import

    tracing = OtelTracing(name)
    try:
        yield tracing
    finally:
        await tracing.stop()


def figures_of(parts: Backends, cluster: Cluster, dashboards: Dashboards, tracing: Tracing | None = None) -> Figures:
    """Where this worker's metrics of the cluster come from."""
    return Figures(
        leadership=parts.leadership,
        leader=parts.leader.facts,
        compaction=parts.compactor.facts,
        people=parts.keeper.facts,
        restore=parts.walk.facts,
        retention=parts.retention.facts,
        restored_rooms=lambda: parts.restorer.restored,
        reads=parts.metered.watches,
        rebalanced=lambda: parts.rebalance.ordered,
        dashboards=lambda: dashboards.count,
        loop_lag_s=lambda: cluster.facts.loop_lag_ms / 1000,
        traces=tracing.facts if tracing is not None else None,
    )


def address_of(config: Config) -> str:
    """Where the other workers and operators would find this one: host:port."""
    host = socket.gethostname() if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    return f"{host}:{config.port}"


async def _tick(worker: Worker, accounts: Accounts) -> None:
    """Ping a share of the streams at a time, each once an interval, for as long as the log reader is alive."""
    slot = 0
    while True:
        await asyncio.sleep(worker.config.ping_interval_s / PING_SLOTS)
        alive = worker.pump.alive
        accounts.trust(alive and worker.pump.heard_within(TRUST_S))
        if alive:
            now = int(time.time() * 1000)
            worker.hub.ping(slot, iso(now), now)
        _cut_stuck(worker, slot)
        slot = (slot + 1) % PING_SLOTS


async def _close_dead(worker: Worker, accounts: Accounts) -> None:
    """The feed broke: revocations may have been missed. Ask for every token whose streams are open here."""
    accounts.forget()
    while True:
        open_tokens = {stream.digest: stream.user for stream in worker.hub.streams()}
        try:
            dead = await accounts.dead_among(open_tokens)
        except ChatError:  # the log is away, or the archive, or too many ask at once
            await asyncio.sleep(1.0)
            continue
        for stream in worker.hub.streams():
            if stream.digest in dead:
                worker.hub.close(stream, control_frame("auth_expired", reason="revoked"))
        return


async def _refresh(slots: Slots, accounts: Accounts) -> None:
    """Say again now and then how many streams each user has here."""
    while True:
        await asyncio.sleep(REFRESH_S)
        accounts.sweep()
        with suppress(ChatError):
            await slots.refresh()


def _cut_stuck(worker: Worker, slot: int) -> None:
    """Cut live streams whose buffer has not shrunk since their last ping: nobody reads there."""
    for stream in worker.hub.slot(slot):
        # A replay waits for its client itself (takeover.py), at the client's own pace.
        waiting = 0 if stream.mode == REPLAYING else getattr(stream.out, "get_write_buffer_size", int)()
        if 0 < stream.waiting <= waiting:
            worker.hub.cut(stream)
        stream.waiting = waiting


def stream_limit(config: Config) -> int:
    """How many streams this process may hold: what is configured, and no more than there are file descriptors for."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return config.max_streams or sys.maxsize
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    spare = sys.maxsize if files == resource.RLIM_INFINITY else max(1, files - SPARE_FILES)
    return min(config.max_streams or sys.maxsize, spare)


def run_worker(config: Config, *, redis_url: str, worker_id: str, on_ready: Callable[[], None]) -> int:
    """Run a worker until it was told to stop (SIGTERM, SIGINT) and has drained. Returns the exit code.

    Blocks. SIGTERM drains: another worker leads, `/readyz` says 503, streams are sent elsewhere in waves, accepted
    sends finish.
    """
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_serve(config, redis_url, worker_id, on_ready))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, redis_url, worker_id, on_ready))


async def _serve(config: Config, redis_url: str, worker_id: str, on_ready: Callable[[], None]) -> int:
    stopping: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()

    def stop(signum: signal.Signals) -> None:
        if not stopping.done():
            stopping.set_result(signum)
        elif signum == signal.SIGINT:
            os._exit(130)  # somebody pressed Ctrl-C twice

    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop, signum)
    try:
        async with running_worker(config, redis_url, worker_id) as app:
            runner = web.AppRunner(
                app,
                handle_signals=False,
                access_log=None,
                handler_cancellation=True,
                keepalive_timeout=KEEP_ALIVE_S,
                shutdown_timeout=2.0,
            )
            await runner.setup()
            if TRACING in app:
                traced.install(runner, app, app[TRACING])
            else:
                front.install(runner, app)
            site = web.TCPSite(
                runner, config.host, config.port, backlog=LISTEN_BACKLOG, reuse_port=config.reuse_port or None
            )
            await site.start()
            gc.collect()
            gc.set_threshold(20_000, 20, 50)  # a request makes some 100 objects that the collector counts
            gc.freeze()  # what is alive now stays: the collector need not look at it again
            on_ready()
            log.info("ready", worker=worker_id, host=config.host, port=config.port)
            signum = await stopping
            # Somebody at a terminal who pressed Ctrl-C has no balancer in front.
            await _drain(app, site, 0.0 if signum == signal.SIGINT else notice_of(config.drain_s))
            await runner.cleanup()
    except (BackendUnavailable, ClusterMismatch) as error:
        log.error("cannot_start", error=str(error))
        return 1
    return 0


async def _drain(app: web.Application, site: web.TCPSite, notice_s: float) -> None:
    """Say that we are going, wait for a balancer to hear it, send streams away, and let new ones go elsewhere."""
    worker = app[WORKER]
    log.info("draining", streams=worker.hub.count)
    worker.draining = True
    app[CLUSTER].leave()
    await asyncio.sleep(notice_s)
    worker.refuses_streams = True
    if worker.config.reuse_port:
        await site.stop()  # the other workers of this port take what comes now
    app[DASHBOARDS].send_away()
    await send_away(worker.hub, max(0.0, worker.config.drain_s - notice_s - 2.0))
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while worker.hub.count:  # noqa: ASYNC110 - there is nothing to wait on, and this is the end
                await asyncio.sleep(0.02)
