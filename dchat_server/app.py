"""One worker, put together: the only file that knows every adapter."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from aiohttp import web

from dchat_server.accounts import Accounts
from dchat_server.adapters.redis_accounts import RedisAccountStore
from dchat_server.adapters.redis_durability import Durability
from dchat_server.adapters.redis_feed import RedisFeed, position_at
from dchat_server.adapters.redis_limits import RedisLimits
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_room_log import RedisRoomLog
from dchat_server.adapters.redis_rooms import RedisRoomStore
from dchat_server.adapters.redis_slots import RedisSlotStore
from dchat_server.attach import Opener
from dchat_server.config import Config
from dchat_server.cursor import Cursor
from dchat_server.drain import send_away
from dchat_server.errors import BackendUnavailable, ClusterMismatch
from dchat_server.history import History
from dchat_server.http import front
from dchat_server.http.ops import REGISTRY, registry_of
from dchat_server.http.parts import ACCOUNTS, CONFIG, LIMITER, SLOTS
from dchat_server.http.problems import problems
from dchat_server.http.routes import add_routes
from dchat_server.http.worker import WORKER, Worker
from dchat_server.hub import Hub
from dchat_server.limits import UserLimits
from dchat_server.model import Control, iso
from dchat_server.passwords import Passwords
from dchat_server.publish import Publisher
from dchat_server.pump import Pump
from dchat_server.rooms import Rooms
from dchat_server.slots import REFRESH_S, Slots
from dchat_server.stream import REPLAYING
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
START_S = 30.0


@asynccontextmanager
async def running_worker(config: Config, redis_url: str, name: str) -> AsyncIterator[web.Application]:
    """A worker's application with everything behind it running. Raises BackendUnavailable, ClusterMismatch."""
    nodes = RedisNodes(redis_url, config.shards, durability=Durability(config.ack, always_synced=config.embedded))
    await _first_answer(nodes)
    room_log, room_store, feed = RedisRoomLog(nodes), RedisRoomStore(nodes), RedisFeed(nodes)
    buckets, passwords = RedisLimits(nodes), Passwords()
    limits = UserLimits(
        buckets,
        messages_per_s=config.rate_messages,
        messages_burst=config.rate_burst,
        rooms_per_day=config.rooms_per_day,
    )
    accounts = Accounts(
        RedisAccountStore(nodes),
        buckets,
        passwords,
        shards=config.shards,
        registration=config.registration,
        logins_per_minute=config.login_per_minute,
    )
    slots = Slots(RedisSlotStore(nodes), name, config.streams_per_user)

    def on_control(control: Control) -> None:
        accounts.on_control(control)

    positions = await feed.start(backlog=1000)
    hub = Hub(
        [positions[shard] for shard in range(config.shards)],
        nodes.keys.shard,
        on_control=on_control,
        slots=PING_SLOTS,
    )
    pump = Pump(feed, hub, room_log, on_break=lambda: worker.spawn(_close_dead(worker, accounts)))
    history = History(room_log)
    worker = Worker(
        name=name,
        config=config,
        hub=hub,
        pump=pump,
        opener=Opener(hub, pump, room_log, room_store, nodes.state, name),
        publisher=Publisher(room_log, history, limits.messages, max_message_bytes=config.max_message_bytes),
        history=history,
        rooms=Rooms(room_store, room_log),
        started=time.monotonic(),
        max_streams=stream_limit(config),
    )
    app = web.Application(middlewares=[problems], client_max_size=config.max_batch_bytes)
    app[WORKER] = worker
    app[ACCOUNTS], app[LIMITER], app[SLOTS], app[CONFIG] = accounts, limits, slots, config
    app[REGISTRY] = registry_of(worker)
    add_routes(app)
    pump.start()
    worker.spawn(_tick(worker, accounts))
    worker.spawn(_refresh(slots, accounts))
    try:
        heads = [position_at(nodes.state(shard), nodes.state(shard).head) for shard in range(config.shards)]
        await pump.reach(Cursor(tuple(heads)), START_S)  # the backlog is for the windows, and news to nobody
        yield app
    finally:
        for task in list(worker.tasks):
            task.cancel()
        await asyncio.gather(*worker.tasks, return_exceptions=True)
        await room_log.settle()
        await pump.stop()
        await slots.stop()
        accounts.stop()
        await nodes.stop()


async def _first_answer(nodes: RedisNodes) -> None:
    """Wait for Redis for `START_S`: in a cluster that comes up, workers may well be first."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            await nodes.start()
            return
        except BackendUnavailable as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting_for_redis", error=str(error.__cause__ or error))
            await asyncio.sleep(0.2)


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
        except BackendUnavailable:
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
        with suppress(BackendUnavailable):
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

    Blocks. SIGTERM drains: `/readyz` says 503, streams are sent elsewhere in waves, accepted sends finish.
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
            app[WORKER].draining = True
            if config.reuse_port:
                await site.stop()  # the other workers of this port take what comes now
            await _drain(app[WORKER], signum)
            await runner.cleanup()
    except (BackendUnavailable, ClusterMismatch) as error:
        log.error("cannot_start", error=str(error))
        return 1
    return 0


async def _drain(worker: Worker, signum: signal.Signals) -> None:
    """Say that we are going, wait for a balancer to hear it, send streams away, and let new ones go elsewhere."""
    log.info("draining", streams=worker.hub.count)
    # Somebody at a terminal who pressed Ctrl-C has no balancer in front.
    notice_s = 0.0 if signum == signal.SIGINT else min(1.0, worker.config.drain_s / 4)
    await asyncio.sleep(notice_s)
    await send_away(worker.hub, max(0.0, worker.config.drain_s - notice_s - 2.0))
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while worker.hub.count:  # noqa: ASYNC110 - there is nothing to wait on, and this is the end
                await asyncio.sleep(0.02)
