"""What the operator decides: one frozen `Config`, read from environment variables and flags.

Every field is a setting: `port` is the variable `DCHAT_PORT` and the flag `--port`. A flag wins
over the variable, the variable over the default. All mistakes are told at once, each as a sentence.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from dchat_server.options import (
    Option,
    folder,
    hide_login,
    host,
    login,
    number,
    one_of,
    option,
    readable_file,
    redis_address,
    switch,
    table_name,
    unknown,
    web_address,
    whole,
    word_of_letters,
    zookeeper_hosts,
)

Ack = Literal["memory", "replicated", "fsync"]
Registration = Literal["open", "invite", "closed"]
SecureCookies = Literal["auto", "always", "never"]
_T = TypeVar("_T")
KEEP_ALL = 10**15
"""More events than a room will ever have."""


class ConfigError(Exception):
    """The settings cannot be used. `mistakes` holds one sentence for each thing that is wrong."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


def default_data_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which this platform keeps a user's program data."""
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "dchat"
    base = env.get("XDG_DATA_HOME", "")
    # The XDG specification tells us to ignore a relative path.
    return (Path(base) if base.startswith("/") else home / ".local" / "share") / "dchat"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of a server. `Config()` is the embedded default, `from_env` what a person asked for."""

    # fmt: off
    host: str = option(
        host, "HOST", "Address to listen on.",
        default="127.0.0.1", shown="127.0.0.1; 0.0.0.0 when DCHAT_REDIS_URL is set")
    port: int = option(whole(1, 65535), "PORT", "Port to listen on.", default=5000)
    workers: int = option(whole(1, 256), "N", "Worker processes.", default=1)
    port_per_worker: bool = option(
        switch, "", "Give each worker a port of its own (PORT, PORT+1, …), for use behind a balancer, "
        "instead of one port shared by all.", default=False)
    public_url: str | None = option(
        web_address, "URL", "Address under which people reach the server, when it stands behind a proxy.",
        default=None, shown="taken from each request")
    secure_cookies: SecureCookies = option(
        one_of("auto", "always", "never"), "auto|always|never",
        "Whether the browser's session cookie is sent over https only; auto looks at the request.",
        default="auto")
    trusted_proxies: int = option(
        whole(0, 16), "N", "Proxies in front of the server whose X-Forwarded-For is believed; 0: nobody's.",
        default=0)

    redis_url: str | None = option(
        redis_address, "URL", "Redis to use: redis://, rediss://, unix://, redis+cluster://, redis+sentinel://.",
        default=None, shown="a Redis of its own, in the data folder", secret=True)
    data_dir: Path = option(
        folder, "FOLDER", "Folder for what the server keeps itself: a Redis of its own, the archive.",
        default=default_data_dir, shown="~/.local/share/dchat")
    shards: int = option(
        whole(1, 1024), "N", "Parts that rooms are spread over; the same everywhere and never changed later.",
        default=16)
    zookeeper: str | None = option(
        zookeeper_hosts, "HOSTS", "ZooKeeper that elects the leader: host:port,host:port/folder.",
        default=None, shown="none: one process of the machine leads")
    zookeeper_session_s: float = option(
        number(1, 120), "SECONDS", "ZooKeeper's session time-out: a dead leader is replaced after it.", default=10.0)
    zookeeper_auth: str | None = option(
        login, "USER:PASSWORD", "Digest login to ZooKeeper; what the workers write is then theirs alone.",
        default=None, shown="none", secret=True)
    zookeeper_sasl: str | None = option(
        login, "USER:PASSWORD", "The same by SASL (DIGEST-MD5); needs the package pure-sasl.",
        default=None, shown="none", secret=True)
    zookeeper_ca: Path | None = option(
        readable_file, "FILE", "Certificates (PEM) that ZooKeeper's own is checked against; turns TLS on.",
        default=None, shown="no TLS")
    zookeeper_cert: Path | None = option(
        readable_file, "FILE", "Certificate (PEM) that the worker shows to ZooKeeper.", default=None, shown="none")
    zookeeper_key: Path | None = option(
        readable_file, "FILE", "Private key (PEM) of that certificate.", default=None, shown="none")
    zookeeper_generation: int = option(
        whole(0, 100), "N", "One more each time ZooKeeper's data was lost, so that new leaders outrank old ones.",
        default=0)
    dynamodb_table: str | None = option(
        table_name, "TABLE", "DynamoDB table that keeps everything for good.",
        default=None, shown="a SQLite file in the data folder")
    dynamodb_endpoint: str | None = option(
        web_address, "URL", "DynamoDB's address, when it is not AWS'.", default=None, shown="AWS, by region")
    dynamodb_region: str | None = option(
        word_of_letters, "REGION", "AWS region of the table.", default=None, shown="as AWS' own settings say")
    compact_interval_s: float = option(
        number(0.1, 3600), "SECONDS", "Seconds between two looks of the leader for what is to be archived.",
        default=5.0)
    compact_keep: int = option(
        whole(0, KEEP_ALL), "N", "Archived events of a room that stay in Redis, too, for quick replays.",
        default=1000, shown="1000; all of them with DCHAT_REDIS_URL and without DCHAT_DYNAMODB_TABLE")
    idle_days: float = option(
        number(0, 36_500), "DAYS", "Days without an event after which a room leaves Redis, but for who is in it; "
        "0 is never.", default=7.0, shown="7; 0 with DCHAT_REDIS_URL and without DCHAT_DYNAMODB_TABLE")
    retention_days: float = option(
        number(0, 36_500), "DAYS", "Days that messages are kept, unless a room says otherwise; 0 is for ever.",
        default=0.0)
    ack: Ack = option(
        one_of("memory", "replicated", "fsync"), "memory|replicated|fsync",
        "When a message counts as sent: Redis has it in memory, a replica has it, or it is on disk.",
        default="fsync", shown="fsync with a Redis of its own, memory with DCHAT_REDIS_URL")

    registration: Registration = option(
        one_of("open", "invite", "closed"), "open|invite|closed", "Who may make an account.", default="open")
    rate_messages: float = option(
        number(0, 1_000_000), "N", "Messages a second a user may send; 0 is no limit.", default=10.0)
    rate_burst: int = option(
        whole(1, 1_000_000), "N", "Messages a user may send at once before that limit counts.", default=50)
    rooms_per_day: int = option(
        whole(0, 1_000_000), "N", "Rooms a user may create a day; 0 is no limit.", default=100)
    login_per_minute: int = option(
        whole(0, 1_000_000), "N", "Login tries a minute for an account and address; 0 is no limit.",
        default=5)
    streams_per_user: int = option(
        whole(0, 1_000_000), "N", "Open event streams a user may have; 0 is no limit.", default=20)
    max_streams: int = option(
        whole(0, 1_000_000), "N", "Open event streams a worker accepts; 0 is no limit.", default=20_000)
    max_message_bytes: int = option(
        whole(1, 65_536), "BYTES", "Longest message text, in bytes of UTF-8.", default=16_384)
    max_body_bytes: int = option(
        whole(1_024, 16_777_216), "BYTES", "Longest request body.", default=65_536)
    max_batch_bytes: int = option(
        whole(1_024, 67_108_864), "BYTES", "Longest request body when it is a batch of messages.",
        default=1_048_576)

    ping_interval_s: float = option(
        number(0.1, 55), "SECONDS", "Seconds between two pings on a quiet stream.", default=15.0)
    drain_s: float = option(
        number(0, 600), "SECONDS", "Seconds a stopping worker takes to send its readers elsewhere.",
        default=12.0)
    rebalance_s: float = option(
        number(0, 3600), "SECONDS", "Seconds that a worker has far more streams than the others before the leader has "
        "it send some there; 0 is never.", default=30.0)
    log_level: str = option(
        one_of("debug", "info", "warning", "error"), "debug|info|warning|error", "What is worth a log line.",
        default="info")
    log_format: str = option(
        one_of("text", "json"), "text|json", "How log lines look.", default="text")
    traces: bool = option(
        switch, "", "Send traces of requests by OpenTelemetry; OTEL_* variables say where to and how many.",
        default=False)
    # fmt: on

    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """For each field that was set, by what: `DCHAT_PORT` or `--port`. The others have their default."""
    warnings: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)
    """Sentences about what looks wrong but does not stop the server."""

    @classmethod
    def from_env(cls, env: Mapping[str, str], argv: Sequence[str] = ()) -> Config:
        """Return the settings in `env`, overridden by the flags in `argv`.

        Raises ConfigError with a sentence for every mistake in both.
        """
        return _read(env, argv)

    @property
    def embedded(self) -> bool:
        """Whether the server runs a Redis of its own."""
        return self.redis_url is None

    @property
    def kinds(self) -> dict[str, str]:
        """What the message log, the election and the archive are, each in a word or two."""
        scheme = "" if self.redis_url is None else self.redis_url.partition(":")[0].partition("+")[2]
        shared = {"": "redis", "cluster": "redis cluster", "sentinel": "sentinel"}[scheme]
        return {
            "log": "embedded" if self.embedded else shared,
            "election": "file" if self.zookeeper is None else "zookeeper",
            "archive": "sqlite" if self.dynamodb_table is None else "dynamodb",
        }

    @property
    def reuse_port(self) -> bool:
        """Whether several workers listen on the same port."""
        return self.workers > 1 and not self.port_per_worker

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports the server listens on, one for each worker or one for all."""
        return tuple(range(self.port, self.port + self.workers)) if self.port_per_worker else (self.port,)

    def redacted(self) -> dict[str, str]:
        """Return every setting as text, by field name, safe to print: passwords are `***`."""
        return {name: about.text(getattr(self, name)) for name, about in options().items()}

    def as_env(self) -> dict[str, str]:
        """Return the environment that `from_env` reads as these settings, secrets included."""
        plain = {name: dataclasses.replace(about, secret=False) for name, about in options().items()}
        return {
            variable(name): about.text(getattr(self, name))
            for name, about in plain.items()
            if getattr(self, name) is not None
        }


# These belong to `dchat`, the command line, which may run in the same shell.

CLIENT_VARIABLES = frozenset({"DCHAT_URL", "DCHAT_TOKEN", "DCHAT_PROFILE", "DCHAT_KEYRING"})
# The supervisor tells a worker these.
WORKER_PREFIX = "DCHAT_WORKER_"


@cache
def options() -> dict[str, Option]:
    """Return the table of settings: field name → what is known about it, in the order of documentation."""
    return {each.name: each.metadata["option"] for each in dataclasses.fields(Config) if "option" in each.metadata}


def variable(name: str) -> str:
    """Return the environment variable of a field: `data_dir` → `DCHAT_DATA_DIR`."""
    return f"DCHAT_{name.upper()}"


def flag(name: str) -> str:
    """Return the flag of a field: `data_dir` → `--data-dir`."""
    return "--" + name.replace("_", "-")


def _read(env: Mapping[str, str], argv: Sequence[str]) -> Config:
    mistakes: list[str] = []
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    given = [*_from_environment(env), *_from_flags(argv, mistakes)]
    # The flag comes last and wins, so a mistake in a variable that a flag overrides is none.
    for name, (source, text) in {name: (source, text) for name, source, text in given}.items():
        about = options()[name]
        try:
            values[name] = about.parse(text)
        except ValueError as problem:
            mistakes.append(f"{source} is '{about.quote(text)}', {problem}.")
        sources[name] = source
    if not mistakes:
        mistakes += _contradictions(values)
    if mistakes:
        raise ConfigError(mistakes)
    if "redis_url" in values:
        values.setdefault("host", "0.0.0.0")  # noqa: S104 - behind a balancer it must be reachable
        values.setdefault("ack", "memory")
        if "dynamodb_table" not in values:
            # The archive is a file on this machine, which workers elsewhere would not see.
            values.setdefault("compact_keep", KEEP_ALL)
            values.setdefault("idle_days", 0.0)
    values.setdefault("data_dir", default_data_dir(env))
    return Config(**values, sources=sources, warnings=tuple(_strangers(env)))


def _from_environment(env: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in options():
        # An empty variable is how compose files and shells say "not set".
        if text := env.get(variable(name), "").strip():
            yield name, variable(name), text


def _from_flags(argv: Sequence[str], mistakes: list[str]) -> Iterator[tuple[str, str, str]]:
    known = {flag(name): name for name in options()}
    words = list(argv)
    while words:
        spelled, has_value, text = words.pop(0).partition("=")
        if not spelled.startswith("-"):
            mistakes.append(f"'{hide_login(spelled)}' is not a flag. See dchat-server --help.")
            continue
        if spelled not in known:
            if words and not has_value and not words[0].startswith("-"):
                words.pop(0)  # its value, which would only be a second mistake
            mistakes.append(f"{unknown('flag', spelled, list(known))} See dchat-server --help.")
            continue
        name = known[spelled]
        if not has_value:
            text = "yes" if not options()[name].takes else words.pop(0) if words else ""
        if not text.strip():
            mistakes.append(f"{spelled} needs a value: {spelled} {options()[name].takes}.")
            continue
        yield name, spelled, text.strip()


def _strangers(env: Mapping[str, str]) -> Iterator[str]:
    known = [variable(name) for name in options()]
    for word in sorted(env):
        if (
            word.startswith("DCHAT_")
            and word not in known
            and word not in CLIENT_VARIABLES
            and not word.startswith(WORKER_PREFIX)
        ):
            yield f"{unknown('setting', word, known)} It is ignored."


def _contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each pair of settings that cannot both hold."""

    def chosen(name: str, default: _T) -> _T:
        value: _T = values.get(name, default)
        return value

    if chosen("ack", "") == "replicated" and "redis_url" not in values:
        yield (
            "DCHAT_ACK is 'replicated', but a Redis of the server's own has no replica; "
            "set DCHAT_REDIS_URL, or use memory or fsync."
        )
    text, body = chosen("max_message_bytes", 16_384), chosen("max_body_bytes", 65_536)
    if text >= body:
        yield (
            f"DCHAT_MAX_MESSAGE_BYTES is {text}, which does not fit into a request body of {body} bytes; "
            "make DCHAT_MAX_BODY_BYTES larger."
        )
    if body > chosen("max_batch_bytes", 1_048_576):
        yield f"DCHAT_MAX_BATCH_BYTES is smaller than DCHAT_MAX_BODY_BYTES ({body}); make it as large."
    for name in ("zookeeper_auth", "zookeeper_sasl", "zookeeper_ca", "zookeeper_cert"):
        if name in values and "zookeeper" not in values:
            yield f"{variable(name)} is set, but not DCHAT_ZOOKEEPER; say where ZooKeeper is, or leave both out."
    if "zookeeper_sasl" in values and importlib.util.find_spec("puresasl") is None:
        yield "DCHAT_ZOOKEEPER_SASL needs a package that is not installed: pip install pure-sasl."
    if chosen("traces", False) and not _can_trace():
        yield "DCHAT_TRACES needs packages that are not installed: pip install 'd-chat[otel]'."
    if ("zookeeper_cert" in values) != ("zookeeper_key" in values):
        yield "DCHAT_ZOOKEEPER_CERT and DCHAT_ZOOKEEPER_KEY belong together; set both or neither."
    if "zookeeper_cert" in values and "zookeeper_ca" not in values:
        yield "DCHAT_ZOOKEEPER_CERT is set, but not DCHAT_ZOOKEEPER_CA, which turns TLS on; set it too."
    if "dynamodb_endpoint" in values and "dynamodb_table" not in values:
        yield "DCHAT_DYNAMODB_ENDPOINT is set, but not DCHAT_DYNAMODB_TABLE; name the table."
    if chosen("port_per_worker", False) and chosen("port", 5000) + chosen("workers", 1) - 1 > 65535:
        yield "DCHAT_PORT leaves no room for a port for each worker below 65536; give a lower one."


def _can_trace() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def markdown_table() -> str:
    """Return the settings as a Markdown table, for the documentation."""
    rows = ["| Variable | Flag | Default | What it does |", "| --- | --- | --- | --- |"]
    for name, about in options().items():
        takes = about.takes.replace("|", r"\|")
        spelled = f"`{flag(name)} {takes}`" if takes else f"`{flag(name)}`"
        rows.append(f"| `{variable(name)}` | {spelled} | {about.default or '—'} | {about.help} |")
    return "\n".join(rows) + "\n"
