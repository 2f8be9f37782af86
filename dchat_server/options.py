"""How a setting is named, read and explained: the vocabulary that `config.py` writes its table in.

A setting is one field of `Config`, declared with `option(...)`. Its variable, its flag, its line in `--help`
and its row in the documentation are all made from that one declaration.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Parse = Callable[[str], Any]
"""Turns a text into a value. Raises ValueError with the end of a sentence: "DCHAT_X is 'y', …"."""


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One setting, as a person meets it."""

    parse: Parse
    takes: str
    """What the value looks like: `PORT`, `open|invite|closed`; empty for a flag that takes none."""
    help: str
    default: str
    """The default in words, as documentation shows it."""
    secret: bool = False

    def text(self, value: Any) -> str:
        """Return `value` as someone could type it, with secrets replaced by `***`."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if self.secret:
            return hide_password(str(value)) if "://" in str(value) else "***"
        return str(value)

    def quote(self, text: str) -> str:
        """Return `text`, which could not be read, as a message may show it."""
        if self.secret:
            return hide_login(text) if "://" in text or self.takes == "URL" else "***"
        return text


def option(parse: Parse, takes: str, help: str, *, default: Any, shown: str = "", secret: bool = False) -> Any:
    """Declare a field of `Config`. `shown` is the default in words, where the value does not say it."""
    about = Option(parse, takes, help, shown, secret)
    if not shown:
        about = dataclasses.replace(about, default=about.text(default))
    metadata = {"option": about}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata, repr=not secret)
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


def whole(least: int, most: int) -> Parse:
    """Return a reader of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"which is not a whole number; give one from {least} to {most}") from None
        if not least <= value <= most:
            raise ValueError(f"which is out of range; give a whole number from {least} to {most}")
        return value

    return parse


def number(least: float, most: float) -> Parse:
    """Return a reader of numbers from `least` to `most`, fractions allowed."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"which is not a number; give one from {least:g} to {most:g}") from None
        if not least <= value <= most:  # also refuses nan
            raise ValueError(f"which is out of range; give a number from {least:g} to {most:g}")
        return value

    return parse


def one_of(*words: str) -> Parse:
    """Return a reader of one word out of `words`, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"which is none of the choices; give one of {', '.join(words)}")
        return text.lower()

    return parse


def switch(text: str) -> bool:
    """Read yes or no."""
    word = text.lower()
    if word in ("1", "yes", "true", "on"):
        return True
    if word in ("0", "no", "false", "off"):
        return False
    raise ValueError("which is neither yes nor no; give yes or no")


def host(text: str) -> str:
    """Read a host name or address to listen on."""
    if re.search(r"[\s/@]|://", text) or not text:
        raise ValueError("which is not a host name or address; give one such as 127.0.0.1 or 0.0.0.0")
    return text.strip("[]")


def folder(text: str) -> Path:
    """Read the path of a folder; `~` is the home folder."""
    path = Path(text).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueError("which is a file; give a folder")
    return path


def readable_file(text: str) -> Path:
    """Read the path of a file that is there and may be read; `~` is the home folder."""
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise ValueError("which is not there; give a file" if not path.exists() else "which is no file; give one")
    if not os.access(path, os.R_OK):
        raise ValueError("which may not be read; give one that may")
    return path


def web_address(text: str) -> str:
    """Read an http or https address without a path, and return it without a slash at the end."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError("which is not a web address without a path; give one such as https://chat.example.org")
    return text.rstrip("/")


REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
)


def zookeeper_hosts(text: str) -> str:
    """Read `host:port,host:port/folder`, ZooKeeper's own way to write where an ensemble is."""
    hosts, _, chroot = text.partition("/")
    for each in hosts.split(","):
        name, colon, port = each.strip().rpartition(":")
        if not (colon and name) or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("which is not of the form host:port,host:port/folder")
    if "//" in "/" + chroot or chroot.endswith("/"):
        raise ValueError("whose folder must look like /name or /name/name")
    return text


def login(text: str) -> str:
    """Read `user:password`."""
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise ValueError("which is not of the form user:password")
    return text


def table_name(text: str) -> str:
    """Read the name of a DynamoDB table."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", text):
        raise ValueError("but a table's name has 3 to 255 letters, digits and _ . -")
    return text


def word_of_letters(text: str) -> str:
    """Read a word of letters, digits and dashes."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", text):
        raise ValueError("which is not one word of letters, digits and dashes")
    return text


def redis_address(text: str) -> str:
    """Read the address of a Redis: single node, socket, Cluster or Sentinel.

    Several hosts are separated by commas; a Sentinel address names its master in the path:
    `redis+sentinel://host1:26379,host2:26379/mymaster`. A Cluster of AWS' may be signed in to by a role:
    `rediss+cluster://user@host:6379?iam=elasticache:eu-central-1:name`.
    """
    parts = urlsplit(text)
    if parts.scheme not in REDIS_SCHEMES:
        raise ValueError(
            "which is no Redis address; it begins with redis://, rediss://, unix://, redis+cluster:// or redis+sentinel://"
        )
    if parts.scheme == "unix":
        if not parts.path.startswith("/"):
            raise ValueError("which names no socket; give one such as unix:///run/redis/redis.sock")
        return text
    hosts = parts.netloc.rpartition("@")[2]
    if not hosts or not all(
        re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.%]+\])(:\d{1,5})?", each) for each in hosts.split(",")
    ):
        raise ValueError(
            "which does not name its host; give one such as redis://10.0.0.5:6379 "
            "(in a password, / is written %2F and @ %40)"
        )
    several = "," in hosts
    if several and "+" not in parts.scheme:
        raise ValueError("which names several hosts; say redis+cluster:// or redis+sentinel:// for those")
    iam = dict(parse_qsl(parts.query, keep_blank_values=True)).get("iam")
    if iam is not None and not (
        parts.scheme == "rediss+cluster"
        and re.fullmatch(r"(elasticache|memorydb):[a-z0-9-]+:[a-z0-9-]+", iam)
        and re.match(r"[^:@/]+@", parts.netloc)
    ):
        raise ValueError(
            "which asks for a role's sign-in (iam) in another form than "
            "rediss+cluster://user@host:6379?iam=elasticache:region:name (or memorydb:…), without a password"
        )
    if parts.scheme.endswith("+sentinel") and not parts.path.strip("/"):
        raise ValueError("which does not name the master; give one such as redis+sentinel://host:26379/mymaster")
    return text


def hide_password(address: str) -> str:
    """Return a URL with the passwords in it replaced by `***`, and everything else as it was."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return hide_login(address)
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, hosts = place.rpartition("@")
    if at:
        name, colon, _ = login.partition(":")
        login = f"{name}:***" if colon else "***"
    # To the end: an & may belong to the password.
    tail = re.sub(r"(?is)([?&][^=&]*pass[^=&]*=).*", r"\1***", rest[len(place) :])
    return f"{scheme}://{login}{at}{hosts}{tail}"


def hide_login(text: str) -> str:
    """Return an address without the part that may hold a password, however malformed it is."""
    begin, mark, rest = text.rpartition("@")
    scheme, colon, _ = begin.partition("://")
    if not mark:
        return "***" if "pass" in text.lower() else text
    return f"{scheme}{colon}***@{rest}" if colon else f"***@{rest}"


def unknown(kind: str, word: str, known: Sequence[str]) -> str:
    """Return the sentence that says that there is no such `kind`, with the nearest of `known` as a guess."""
    import difflib  # here, because it is only needed when something is wrong

    near = difflib.get_close_matches(word, known, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"There is no {kind} {word}.{hint}"
