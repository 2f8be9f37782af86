"""`dchat-server`: what a person types, and what they are told.

Data goes to stdout, everything else to stderr. Exit codes: 0 it ended as it was told to, or all is well;
1 it cannot run here, and a sentence says why; 2 the settings are wrong.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from dchat_server import __version__
from dchat_server.config import WORKER_PREFIX, Config, ConfigError, flag, markdown_table, options, variable

# Everything else is imported where it is used: `--help` answers at once, and the server is ready sooner.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from dchat_server.embedded import EmbeddedRedis

USAGE = """\
Usage: dchat-server [COMMAND] [FLAGS]

D-Chat: chat over plain HTTP and server-sent events, on Redis Streams. Without flags it serves on
http://127.0.0.1:5000 and keeps everything in a folder of yours, on disk, with a Redis of its own.

Commands:
  run      serve (this is what happens without a command)
  check    say on what it would run, and whether each part answers
  config   show all settings, and where each comes from
           (--markdown: the table of settings, as the documentation has it)
  init-table
           make the DynamoDB table, or see to it that the one there fits; may be repeated
           (--provisioned READ:WRITE: units a second, instead of on-demand;
           --no-recovery, --no-protection: leave backups, the guard against deletion, as they are)
  backup FILE
           write everything acknowledged by now into a new file, while the server runs
           (--wait SECONDS: how long to wait until it is archived, 120; --archived: take
           what is archived, and do not ask Redis)
  restore FILE
           put a backup into an empty archive, of the same kind or another, beside an empty Redis
           (--check: only say whether the file is whole)

Flags (each is also a variable: --port is DCHAT_PORT; a flag wins):
"""
ENDING = """\
      --version                  Show the version.
  -h, --help                     Show this.

Exit codes: 0 it ended as told, 1 it cannot run here and says why, 2 the settings are wrong.
"""
COMMANDS = ("run", "check", "config", "init-table", "backup", "restore", "worker")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help", "help"} & set(words[:2]):
        print(help_text(), end="")
        return 0
    if "--version" in words:
        print(f"dchat-server {__version__}")
        return 0
    command = words.pop(0) if words and words[0] in COMMANDS else "run"
    if command == "config" and words == ["--markdown"]:
        print(markdown_table(), end="")
        return 0
    try:
        if command == "worker":
            return work()
        if command == "init-table":
            return init_table(words)
        if command in ("backup", "restore"):
            from dchat_server import backup_command

            return backup_command.main(command, words, os.environ, tell)
        config = Config.from_env(os.environ, words)
    except ConfigError as problem:
        for sentence in problem.mistakes:
            tell(sentence)
        return 2
    except KeyboardInterrupt:
        return 130
    try:
        return {"run": run, "check": check, "config": show}[command](config)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more while it ends
        return 1


def run(config: Config) -> int:
    """Serve until told to end."""
    from dchat_server import logs, supervisor
    from dchat_server.data_folder import DataFolderError
    from dchat_server.embedded import EmbeddedError
    from dchat_server.listening import ListenError

    for sentence in config.warnings:
        tell(sentence)
    raise_open_files()
    logs.start(config.log_level, config.log_format)

    def on_ready(embedded: EmbeddedRedis | None) -> None:
        if config.log_format == "json":
            logs.logger().info("ready", url=reach(config), workers=config.workers, version=__version__)
        else:
            print(banner(config, embedded), file=sys.stderr, flush=True)

    try:
        return supervisor.serve(config, on_ready=on_ready, say=lambda text: logs.logger().warning(text))
    except (ListenError, DataFolderError, EmbeddedError) as problem:
        tell(str(problem))
        return 1


def work() -> int:
    """Be one worker of several: started by `run`, never by a person."""
    from dchat_server import logs, supervisor

    if f"{WORKER_PREFIX}PARENT" not in os.environ:
        tell("'worker' is for dchat-server itself. Use --workers N, or DCHAT_WORKERS.")
        return 2
    config = Config.from_env(os.environ)
    raise_open_files()
    logs.start(config.log_level, config.log_format, worker=str(os.getpid()))
    return supervisor.worker_main(os.environ)


def check(config: Config) -> int:
    """Print on what the server would run, and whether each part answers."""
    from dchat_server.check import findings

    failed = False
    for each in findings(config):
        failed = failed or each.state == "failed"
        print(f"{each.state:<8} {each.part:<12} {each.text}", flush=True)
    print("This would not run." if failed else "This would run.", flush=True)
    return 1 if failed else 0


def init_table(words: Sequence[str]) -> int:
    """Make the archive's DynamoDB table where it is missing, and wait until it can be used."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    own.add_argument("--provisioned", type=provisioned)
    own.add_argument("--no-recovery", action="store_true")
    own.add_argument("--no-protection", action="store_true")
    try:
        asked, rest = own.parse_known_args(list(words))
    except argparse.ArgumentError as problem:
        raise ConfigError(["--provisioned takes READ:WRITE, units a second, such as 50:200."]) from problem
    config = Config.from_env(os.environ, rest)
    if config.dynamodb_table is None:
        raise ConfigError(["There is no table to make: name it, with --dynamodb-table or DCHAT_DYNAMODB_TABLE."])

    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    from dchat_server.adapters.dynamodb_client import connect
    from dchat_server.adapters.dynamodb_table import TableError, create
    from dchat_server.errors import ClusterMismatch

    table = config.dynamodb_table
    try:
        client = connect(config.dynamodb_endpoint, config.dynamodb_region, connections=1, attempts=4)
        made = create(
            client,
            table,
            units=asked.provisioned,
            recovery=not asked.no_recovery,
            protection=not asked.no_protection,
            say=tell,
        )
    except (TableError, ClusterMismatch, ClientError, BotoCoreError) as problem:
        tell(str(problem))
        return 1
    print(f"The table {table} is ready." if made else f"The table {table} was there, and is ready.")
    return 0


def provisioned(text: str) -> tuple[int, int]:
    """Read `READ:WRITE`. Raises ValueError."""
    read, write = (int(word) for word in text.split(":"))
    if read < 1 or write < 1:
        raise ValueError(text)
    return read, write


def show(config: Config) -> int:
    """Print all settings, passwords hidden."""
    for sentence in config.warnings:
        tell(sentence)
    for name, value in config.redacted().items():
        print(f"{variable(name):<26} {value or '-':<32} {config.sources.get(name, 'default')}")
    return 0


def help_text() -> str:
    """Return what `--help` prints."""
    lines = []
    for name, about in options().items():
        spelled = f"      {flag(name)} {'' if '|' in about.takes else about.takes}".rstrip()
        text = about.help + (f" One of {about.takes.replace('|', ', ')}." if "|" in about.takes else "")
        wrapped = textwrap.wrap(f"{text} [{about.default}]", 62)
        lines.append(f"{spelled:<33}{wrapped[0]}" if len(spelled) < 32 else f"{spelled}\n{'':33}{wrapped[0]}")
        lines += [f"{'':33}{line}" for line in wrapped[1:]]
    return USAGE + "\n".join(lines) + "\n" + ENDING


def banner(config: Config, embedded: EmbeddedRedis | None) -> str:
    """Return what a person reads when the server is ready: where it is, and how to chat."""
    lines = [f"\nD-Chat {__version__} is ready: {reach(config)}\n"]
    if embedded is not None and embedded.binary is not None:
        safe = "is on disk before it counts as sent" if config.ack == "fsync" else "is on disk within seconds"
        lines.append(f"  data    {config.data_dir}")
        lines.append(f"  Redis   {embedded.binary.name}, its own; a message {safe}")
    else:
        lines.append(f"  Redis   {config.redacted()['redis_url']}")
        if config.dynamodb_table is None:
            lines.append(f"  data    {config.data_dir}")
        else:
            lines.append(f"  archive DynamoDB table {config.dynamodb_table}")
        if config.zookeeper is not None:
            lines.append(f"  leader  elected in ZooKeeper at {config.zookeeper}")
    if config.workers > 1:
        each = f", on ports {config.ports[0]} to {config.ports[-1]}" if config.port_per_worker else ""
        lines.append(f"  workers {config.workers}{each}")
    lines.append("  stop    Ctrl-C")
    say = command("dchat")
    where = "" if reach(config) == "http://127.0.0.1:5000" else f" --url {reach(config)}"
    lines.append(
        f"""
Chat in a browser at {reach(config)}, or in another terminal:

  {say}{where}
  {say} send lobby "Hello!"
  {say} tail lobby
"""
    )
    return "\n".join(lines)


def reach(config: Config) -> str:
    """Return the address under which a browser on this machine, or everybody, finds the server."""
    if config.public_url:
        return config.public_url
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.host, config.host)  # noqa: S104
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{config.port}"


def command(name: str) -> str:
    """Return how `name`, installed beside this program, is called from the present folder."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name)
    if not beside.exists() or (found and os.path.samefile(found, beside)):
        return name
    near = os.path.relpath(beside)
    return str(beside) if near.startswith("..") else near


def raise_open_files() -> None:
    """Let this process open as many files as it is allowed to: each stream is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS says "unlimited" and does not mean it
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(10_240, hard), hard))


def tell(sentence: str) -> None:
    """Say something to the person, on stderr."""
    print(f"dchat-server: {sentence}", file=sys.stderr, flush=True)
