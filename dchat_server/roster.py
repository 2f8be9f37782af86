"""A room's people and facts, worked out from its events: the same as the scripts keep in the message log. Pure.

`Roster` is what lua/send.lua, amend.lua, set_member.lua and create_room.lua keep beside the log: who is in, where each
person wrote last, who was called where, what was deleted. The archive stores one now and then; the roster of any later
moment is that one and the events since.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import orjson
import zstandard

from dchat_server import wire
from dchat_server.model import Event, mentions_in

MAX_MENTIONS = 1000
"""Newest messages that are remembered of those that called a person."""
MAX_DELETED = 10_000
"""Newest deleted messages that are remembered."""
PART_BYTES = 256 * 1024
_VERSION = 1


class BadRoster(ValueError):
    """These bytes are no roster that this version reads."""


@dataclass
class Roster:
    """`members` user → role, `posted` user → (seq, messages) of their last message, `mentions` user → seqs of messages
    that call them, rising, `deleted` seqs of deleted messages, rising."""

    members: dict[str, str] = field(default_factory=dict)
    posted: dict[str, tuple[int, int]] = field(default_factory=dict)
    mentions: dict[str, list[int]] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)
    _called: dict[int, tuple[str, ...]] | None = field(default=None, repr=False, compare=False)
    """`mentions` the other way round, once it is needed."""

    def apply(self, event: Event) -> None:
        """Let one more event happen. They must come dense and in order; a few microseconds each."""
        if event.type == "room":
            return
        body = wire.body_fields(event)
        if event.type == "message":
            self.posted[body["sender"]] = (event.seq, event.messages)
            if (text := body.get("text")) is not None:
                self._call(event.seq, text)
        elif event.type == "member":
            if body["action"] in ("leave", "kick"):
                self.members.pop(body["user"], None)
            else:
                self.members[body["user"]] = body["role"]
        elif event.type == "edit":
            # An edit whose message was deleted later has no text: then nobody is called any more either.
            self._recall(body["target"])
            self._call(body["target"], body.get("text", ""))
        elif event.type == "delete":
            self._recall(body["target"])
            _add(self.deleted, body["target"], MAX_DELETED)

    def _call(self, seq: int, text: str) -> None:
        called = tuple(user for user in mentions_in(text) if user in self.members)
        for user in called:
            _add(self.mentions.setdefault(user, []), seq, MAX_MENTIONS)
        if called and self._called is not None:
            self._called[seq] = called

    def _recall(self, seq: int) -> None:
        """Nobody is called by this message any more."""
        if self._called is None:
            self._called = {}
            for user, seqs in self.mentions.items():
                for each in seqs:
                    self._called[each] = (*self._called.get(each, ()), user)
        for user in self._called.pop(seq, ()):
            seqs = self.mentions[user]
            at = bisect_left(seqs, seq)
            if at < len(seqs) and seqs[at] == seq:
                del seqs[at]
            if not seqs:
                del self.mentions[user]

    def encode(self, max_parts: int = 1 << 20) -> list[bytes]:
        """The roster as parts of at most 256 KB. A person costs some ten bytes.

        One that would have more than `max_parts` goes without its older mentions; it may have more all the same.
        """
        most = MAX_MENTIONS
        parts = self._parts(most)
        while len(parts) > max_parts and most:
            most //= 4
            parts = self._parts(most)
        return parts

    def _parts(self, most: int) -> list[bytes]:
        value = {
            "members": self.members,
            "posted": self.posted,
            "mentions": {user: _steps(seqs[-most:]) for user, seqs in self.mentions.items()} if most else {},
            "deleted": _steps(self.deleted),
        }
        frame = zstandard.ZstdCompressor(level=9, write_checksum=True).compress(orjson.dumps(value))
        data = bytes([_VERSION]) + frame
        return [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]


def decode(parts: Sequence[bytes]) -> Roster:
    """The roster of these parts; an empty one when there are none. Raises BadRoster."""
    data = b"".join(parts)
    if not data:
        return Roster()
    if data[0] != _VERSION:
        raise BadRoster(f"a roster of version {data[0]}")
    try:
        value = orjson.loads(zstandard.ZstdDecompressor().decompress(data[1:]))
        return Roster(
            value["members"],
            {user: (seq, messages) for user, (seq, messages) in value["posted"].items()},
            {user: list(accumulate(steps)) for user, steps in value["mentions"].items()},
            list(accumulate(value["deleted"])),
        )
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRoster(f"a damaged roster ({error})") from error


def fold_facts(facts: Mapping[str, str], events: Iterable[Event]) -> dict[str, str]:
    """The room's facts (kind, topic, display_name, archived, created, creator; retention where it is set) after these
    events."""
    out = dict(facts)
    for event in events:
        if event.type != "room":
            continue
        body: dict[str, Any] = wire.body_fields(event)
        action = body["action"]
        if action == "create":
            out = {"archived": "0", "created": str(event.ts), "creator": body["sender"]}
        elif action in ("archive", "unarchive"):
            out["archived"] = "1" if action == "archive" else "0"
        out |= {name: body[name] for name in ("kind", "topic", "display_name") if name in body}
        if "retention" in body:
            out["retention"] = str(body["retention"] or "0")
    return out


def _add(seqs: list[int], seq: int, most: int) -> None:
    """Put `seq` in its place and keep the newest `most`."""
    at = bisect_left(seqs, seq)
    if at == len(seqs) or seqs[at] != seq:
        insort(seqs, seq)
        del seqs[:-most]


def _steps(seqs: Sequence[int]) -> list[int]:
    """Each number as what it lies behind the one before: they compress better."""
    return [seq - before for before, seq in zip([0, *seqs[:-1]], seqs, strict=True)] if seqs else []
