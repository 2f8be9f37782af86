"""Slack's export: channels.json, users.json, and a folder for each conversation with a file for each day.

https://slack.com/help/articles/220556107 describes it. Messages come a day at a time and, within it, one after the
other, so that the largest day bounds the memory.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dchat_client.emoji import emoji_of
from dchat_client.imports.said import MAX_NAME_CHARS, Said, UnfitSource
from dchat_client.imports.slack_text import plain
from dchat_client.imports.tree import Tree

MAX_LIST_BYTES = 64 << 20
MAX_DAY_BYTES = 32 << 20
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_LISTS = {"channels.json": "public", "groups.json": "private", "mpims.json": "dm", "dms.json": "dm"}
# What happened in the channel, as Slack words it: "<@U1> set the channel topic: …".
_DEEDS = re.compile(r"(channel|group)_(topic|purpose|name|archive|unarchive)")
_LEFT_OUT = re.compile(r"(channel|group)_(join|leave|convert.*|posting.*)|bot_(add|remove)|(un)?pinned_item|message_.*")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A channel or a direct conversation. `kind` is public, private or dm; `days` are paths, `size` their bytes."""

    id: str
    name: str
    kind: str
    topic: str
    days: tuple[str, ...]
    size: int


class SlackExport:
    """An export, open for reading. Use it as a context manager. Raises UnfitSource."""

    def __init__(self, path: Path) -> None:
        self._tree = Tree(path, root="channels.json")
        self.conversations: list[Conversation] = []
        self.users: dict[str, str] = {}
        self.channels: dict[str, str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            closing.enter_context(self._tree)
            self._read_lists()
            closing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tree.__exit__(kind, error, trace)

    def read(self, day: str) -> bytes:
        """Return a day's file."""
        return self._tree.read(day, MAX_DAY_BYTES)

    def _read_lists(self) -> None:
        folders: dict[str, list[tuple[str, int]]] = {}
        for name, size in self._tree.files():
            folder, _, file = name.rpartition("/")
            if folder and _DAY.fullmatch(file):
                folders.setdefault(folder, []).append((name, size))
        for row in _elements(self._tree.read("users.json", MAX_LIST_BYTES), "users.json"):
            if isinstance(row.get("id"), str):
                self.users[row["id"]] = _person(row) or row["id"]
        for file, kind in _LISTS.items():
            for row in _elements(self._tree.read(file, MAX_LIST_BYTES), file):
                self._add(row, kind, folders)

    def _add(self, row: dict[str, Any], kind: str, folders: Mapping[str, list[tuple[str, int]]]) -> None:
        id_, name = row.get("id"), row.get("name")
        if not isinstance(id_, str):
            return
        name = name if isinstance(name, str) and name else id_
        self.channels[id_] = name
        files = sorted(folders.get(name) or folders.get(id_) or [])
        topic = row.get("topic")
        words = topic.get("value") if isinstance(topic, dict) else ""
        topic = plain(words, self.users, self.channels) if isinstance(words, str) else ""
        days = tuple(path for path, _ in files)
        self.conversations.append(Conversation(id_, name, kind, topic, days, sum(size for _, size in files)))


class SlackChannel:
    """The messages of one conversation, as a Source (said.py)."""

    def __init__(self, export: SlackExport, conversation: Conversation) -> None:
        self._export = export
        self._of = conversation
        self.done = self.left_out = 0
        self.total = conversation.size

    def __iter__(self) -> Iterator[Said]:
        for day in self._of.days:
            raw = self._export.read(day)
            for row in _elements(raw, day):
                said = self._said(row)
                if said is None:
                    self.left_out += 1
                else:
                    yield said
            self.done += len(raw)

    def remarks(self) -> list[str]:
        return []

    def _said(self, row: dict[str, Any]) -> Said | None:
        ts, subtype = row.get("ts"), row.get("subtype") or ""
        if row.get("type") != "message" or not isinstance(ts, str) or not isinstance(subtype, str):
            return None
        if _LEFT_OUT.fullmatch(subtype):
            return None
        who, text = self._who(row), self._text(row)
        is_deed = _DEEDS.fullmatch(subtype) is not None
        if is_deed:
            text = re.sub(r"^<@\w+(\|[^>]*)?>\s*", "", str(row.get("text") or ""))
            text = plain(text, self._export.users, self._export.channels)
        if subtype == "tombstone":
            who, text = "?", "(deleted)"
        files = tuple(_file(file) for file in _rows(row, "files"))
        if not text and not files:
            return None
        root = row.get("thread_ts")
        return Said(
            key=self._key(ts),
            who=who,
            when=_when(ts),
            text=text,
            answers=self._key(root) if isinstance(root, str) and root != ts else None,
            is_action=is_deed or subtype == "me_message",
            is_edited=isinstance(row.get("edited"), dict),
            reactions=tuple(self._reaction(reaction) for reaction in _rows(row, "reactions")),
            files=files,
        )

    def _key(self, ts: str) -> str:
        return f"slack:{self._of.id}:{ts}"

    def _who(self, row: dict[str, Any]) -> str:
        user = row.get("user")
        if isinstance(user, str) and user in self._export.users:
            return self._export.users[user]
        profile, bot = row.get("user_profile"), row.get("bot_profile")
        names = [
            _person({"profile": profile}) if isinstance(profile, dict) else "",
            row.get("username"),
            bot.get("name") if isinstance(bot, dict) else "",
            user,
            row.get("bot_id"),
        ]
        return next((name for name in names if isinstance(name, str) and name), "?")

    def _text(self, row: dict[str, Any]) -> str:
        found = row.get("text")
        if not found or not isinstance(found, str):
            # What programs post often has all its text in attachments; below a text they are previews of its links.
            parts = [part for each in _rows(row, "attachments") for part in _attachment(each)]
            found = "\n".join(parts)
        return plain(found, self._export.users, self._export.channels)

    def _reaction(self, reaction: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
        name = str(reaction.get("name") or "?").partition("::")[0]  # behind it comes the tone of the skin
        ids = reaction.get("users")
        ids = [id_ for id_ in ids if isinstance(id_, str)] if isinstance(ids, list) else []
        names = [self._export.users.get(id_, id_) for id_ in ids[:50]]
        count = reaction.get("count")
        if isinstance(count, int) and count > len(names):
            names.append(f"{count - len(names)} more")
        return emoji_of(f":{name}:"), tuple(names)


def room_name(name: str) -> str:
    """Return the name a room gets that was called `name`: without accents, and a dash for what it may not hold."""
    bare = "".join(char for char in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(char))
    return re.sub(r"[^a-z0-9._-]+", "-", bare).strip("._-")[:32] or "room"


def _elements(raw: bytes, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON array one by one, so that only one of them is ever unpacked."""
    text, decoder = raw.decode("utf-8", "replace").lstrip("\ufeff \t\r\n"), json.JSONDecoder()
    if not text:
        return
    if text[0] != "[":
        raise UnfitSource(f"{name} is not a JSON list.")
    space = re.compile(r"[ \t\r\n]*")
    at = 1
    while True:
        at = space.match(text, at).end()  # type: ignore[union-attr]  # it matches everywhere
        if text[at : at + 1] == "]":
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise UnfitSource(f"{name} is damaged: {error}.") from None
        if isinstance(value, dict):
            yield value
        at = space.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] not in (",", "]"):
            raise UnfitSource(f"{name} is damaged at character {at}.")
        at += text[at] == ","


def _rows(row: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = row.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _person(row: dict[str, Any]) -> str:
    profile = row.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    names = [profile.get("display_name"), profile.get("real_name"), row.get("real_name"), row.get("name")]
    return next((name[:MAX_NAME_CHARS] for name in names if isinstance(name, str) and name), "")


def _attachment(row: dict[str, Any]) -> list[str]:
    parts = [row.get(name) for name in ("pretext", "title", "text")]
    found = [part for part in parts if isinstance(part, str) and part]
    fallback = row.get("fallback")
    return found or ([fallback] if isinstance(fallback, str) and fallback else [])


def _file(row: dict[str, Any]) -> str:
    name, size = row.get("name") or row.get("title") or "a file", row.get("size")
    return f"{name}, {_size(size)}" if isinstance(size, int) and size > 0 else str(name)


def _size(size: int) -> str:
    for power, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if size >= 1 << power:
            return f"{size / (1 << power):.0f} {unit}"
    return f"{size} bytes"


def _when(ts: str) -> str:
    try:
        return datetime.fromtimestamp(float(ts), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""
