"""Which Redis server holds which shard, for every form of `DCHAT_REDIS_URL`.

`redis://`, `rediss://`, `unix://`   one server holds all shards
`redis+sentinel://h1:p,h2:p/name/db` the master that Sentinel names
`redis+cluster://h1:p,h2:p`          each shard where its hash slot is (`rediss+cluster://` and `rediss+sentinel://`
                                     for TLS; `?iam=service:region:name`: see redis_iam.py)

A locator only looks; connections are `redis_nodes.py`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError

from dchat_server.adapters.redis_keys import Keys
from dchat_server.adapters.redis_wire import connection_errors
from dchat_server.errors import BackendUnavailable

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""

CONNECT_S = 1.0
REPLY_S = 2.0
"""How long a connect and a reply may take. A frozen server sends nothing: only this ends the wait."""


@dataclass(frozen=True)
class Layout:
    """Where each shard is now."""

    nodes: tuple[Address, ...]
    shards: Mapping[int, Address]


@dataclass(frozen=True)
class Target:
    """A parsed `DCHAT_REDIS_URL`."""

    kind: str
    seeds: tuple[Address, ...]
    options: dict[str, Any] = field(repr=False)
    master: str = ""
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)


def parse(url: str) -> Target:
    """Read `DCHAT_REDIS_URL`. Raises ValueError with a sentence that holds no password."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in ("redis", "rediss", "unix") or kind not in ("", "cluster", "sentinel"):
        raise ValueError(
            f"DCHAT_REDIS_URL cannot start with {parts.scheme!r}: use redis://, rediss://, unix://, "
            "redis+cluster:// or redis+sentinel://."
        )
    if not kind:
        options: dict[str, Any] = dict(parse_url(url))
        options.pop("connection_class", None)
        if scheme == "unix":
            return Target("single", (options.pop("path"),), options)
        if scheme == "rediss":
            options["ssl"] = True
        address = (options.pop("host", "localhost"), options.pop("port", 6379))
        return Target("single", (address,), options)

    credentials, _, hosts = parts.netloc.rpartition("@")
    seeds = tuple(_host_port(text, 26379 if kind == "sentinel" else 6379) for text in hosts.split(",") if text)
    if not seeds:
        raise ValueError("DCHAT_REDIS_URL names no host")
    options = {}
    if credentials:
        user, _, password = credentials.partition(":")
        if user:
            options["username"] = unquote(user)
        options["password"] = unquote(password)
    if scheme == "rediss":
        options["ssl"] = True
    query = dict(parse_qsl(parts.query))
    if "ssl_ca_certs" in query:
        options["ssl_ca_certs"] = query["ssl_ca_certs"]
    if kind == "cluster":
        if "iam" in query:
            from dchat_server.adapters.redis_iam import IamSignIn  # botocore takes a while to import

            options.pop("password", None)
            options["credential_provider"] = IamSignIn(query["iam"], options.pop("username"))
        return Target("cluster", seeds, options)
    path = [step for step in parts.path.split("/") if step]
    if not path:
        raise ValueError("DCHAT_REDIS_URL needs the master's name: redis+sentinel://host:26379/mymaster")
    if len(path) > 1:
        options["db"] = int(path[1])
    sentinel_options = {"password": query["sentinel_password"]} if "sentinel_password" in query else {}
    if "sentinel_username" in query:
        sentinel_options["username"] = query["sentinel_username"]
    return Target("sentinel", seeds, options, path[0], sentinel_options)


def _host_port(text: str, default: int) -> Address:
    host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not host:
        host, port = port, ""
    try:
        return host.strip("[]"), int(port) if port else default
    except ValueError:
        raise ValueError(f"DCHAT_REDIS_URL has a port that is no number: {port!r}") from None


def client_to(address: Address, options: Mapping[str, Any], *, connections: int = 64) -> Redis:
    """A client of one server with the deadlines of this project: no retries inside, raw replies, bounded pool."""
    where: dict[str, Any]
    where = {"unix_socket_path": address} if isinstance(address, str) else {"host": address[0], "port": address[1]}
    client = Redis(
        **where,
        **options,
        socket_timeout=REPLY_S,
        socket_connect_timeout=CONNECT_S,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        protocol=2,
        max_connections=connections,
    )
    client.response_callbacks.clear()
    return client


@asynccontextmanager
async def one_client(address: Address, options: Mapping[str, Any]) -> AsyncIterator[Redis]:
    """A client for a question or two. What goes wrong with its connection is a RedisError or an OSError."""
    client = client_to(address, options, connections=1)
    try:
        with connection_errors():
            yield client
    finally:
        with suppress(RedisError, OSError):
            await client.aclose()


class Locator(Protocol):
    async def locate(self) -> Layout:
        """Where each shard is now. A few round trips. Raises BackendUnavailable."""
        ...


class SingleLocator:
    """All shards on one server that never moves."""

    def __init__(self, target: Target, keys: Keys) -> None:
        (address,) = target.seeds
        self._layout = Layout((address,), dict.fromkeys(range(keys.shards), address))

    async def locate(self) -> Layout:
        return self._layout


class SentinelLocator:
    """All shards on the master that the first sentinel names which answers and knows it."""

    def __init__(self, target: Target, keys: Keys) -> None:
        self._target, self._keys = target, keys

    async def locate(self) -> Layout:
        for seed in self._target.seeds:
            try:
                async with one_client(seed, self._target.sentinel_options) as client:
                    reply = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.master)  # type: ignore[no-untyped-call]
            except (RedisError, OSError):
                continue
            if reply:
                address = (reply[0].decode(), int(reply[1]))
                return Layout((address,), dict.fromkeys(range(self._keys.shards), address))
        raise BackendUnavailable(f"No sentinel knows the master {self._target.master!r}.")


class ClusterLocator:
    """Each shard on the master of its hash slot. Remembers the nodes it has seen, so losing the seeds is no loss."""

    def __init__(self, target: Target, keys: Keys) -> None:
        self._target, self._keys = target, keys
        self._known: tuple[Address, ...] = ()

    async def locate(self) -> Layout:
        for seed in dict.fromkeys((*self._known, *self._target.seeds)):
            try:
                async with one_client(seed, self._target.options) as client:
                    ranges = await client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
            except (RedisError, OSError):
                continue
            shards: dict[int, Address] = {}
            for shard in range(self._keys.shards):
                slot = key_slot(self._keys.feed(shard).encode())
                for first, last, master, *_ in ranges:
                    if first <= slot <= last:
                        host = master[0].decode() or (seed[0] if isinstance(seed, tuple) else "localhost")
                        shards[shard] = (host, int(master[1]))
            if len(shards) == self._keys.shards:
                self._known = tuple(dict.fromkeys(shards.values()))
                return Layout(self._known, shards)
        raise BackendUnavailable("No node of the Redis Cluster knows where every slot is.")


def locator_for(target: Target, keys: Keys) -> Locator:
    if target.kind == "cluster":
        return ClusterLocator(target, keys)
    return SentinelLocator(target, keys) if target.kind == "sentinel" else SingleLocator(target, keys)
