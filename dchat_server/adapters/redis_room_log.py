"""The room log over Redis Streams: one stream a room, ids `<epoch>-<seq>`, `seq` dense."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

import orjson

from dchat_server import wire
from dchat_server.adapters.redis_lanes import Lanes
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_wire import Value
from dchat_server.errors import FAILURES, ChatError
from dchat_server.model import Draft, Event, Message, Sent
from dchat_server.ports import Amendment

CLIENT_KEY_S = 24 * 3600
"""How long a sender's own idempotency key holds."""
OWN_KEY_S = 120
"""How long a key lives that only guards our own repeats: longer than any of them."""
MOST_REACTIONS = 500
"""Fields of a touched message's state: different (emoji, person) pairs."""


class RedisRoomLog:
    """Implements `RoomLog`. Shared by all requests of a worker."""

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes, self._keys = nodes, nodes.keys
        self._lanes = Lanes(nodes)
        self._random = secrets.token_hex(6)
        self._counter = 0

    def own_key(self) -> str:
        """A key for an operation whose sender gave none: unique over all workers and restarts."""
        self._counter += 1
        return f"\0{self._random}.{self._counter}"

    async def send(self, room: str, draft: Draft) -> Sent:
        (outcome,) = await self.send_many(room, (draft,))
        if isinstance(outcome, ChatError):
            raise outcome
        return outcome

    async def send_many(self, room: str, drafts: Sequence[Draft]) -> list[Sent | ChatError]:
        keys = self._keys
        prefix = keys.room(room)
        args: list[Value] = []
        for draft in drafts:
            key = keys.once(room, draft.sender, draft.client_id) if draft.client_id is not None else ""
            mentions = ",".join(draft.mentions) if draft.mentions else ""
            args += (prefix, room, draft.sender, key, CLIENT_KEY_S, draft.fingerprint, mentions, draft.body)
        answers = await self._lanes.submit(keys.shard(room), args)
        return [
            Sent(room, epoch, seq, ts, repeated=status == b"repeat")
            if status in (b"ok", b"repeat")
            else refusal(status, room)
            for status, seq, ts, epoch in answers
        ]

    async def amend(self, room: str, actor: str, amendment: Amendment) -> bool:
        keys, action = self._keys, amendment.action
        target = {"target": amendment.target}
        if action == "edit":
            body, value = wire.fields(sender=actor, **target, text=amendment.value), orjson.dumps(amendment.value)
        elif action == "delete":
            body, value = wire.fields(sender=actor, **target), b""
        else:
            body = wire.fields(sender=actor, **target, emoji=amendment.value, action=action)
            value = amendment.value.encode()
        reply = await self._nodes.script(
            keys.shard(room),
            "amend",
            now_ms(),
            keys.room(room),
            room,
            actor,
            keys.once(room, actor, self.own_key()),
            OWN_KEY_S,
            action,
            amendment.target,
            value,
            body,
            ",".join(amendment.mentions),
            ",".join(amendment.others),
            MOST_REACTIONS,
            ",".join(amendment.former),
        )
        if reply[0] == b"unchanged":
            return False
        if reply[0] != b"ok":
            raise refusal(reply[0], room)
        return True

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        epochs = await self._epochs(room)
        start = f"{epoch_of(epochs, after + 1)}-{after + 1}"
        rows = await self._nodes.run(
            self._keys.shard(room), "XRANGE", self._keys.room(room) + ":log", start, "+", "COUNT", limit
        )
        return [decode_log_entry(room, row) for row in rows]

    async def read_back(self, room: str, before: int | None, limit: int) -> list[Event]:
        end = "+"
        if before is not None:
            if before <= 1:
                return []
            epochs = await self._epochs(room)
            end = f"{epoch_of(epochs, before - 1)}-{before - 1}"
        rows = await self._nodes.run(
            self._keys.shard(room), "XREVRANGE", self._keys.room(room) + ":log", end, "-", "COUNT", limit
        )
        return [decode_log_entry(room, row) for row in rows]

    async def locate(self, room: str, *, offset: int | None = None, since_ms: int | None = None) -> tuple[int, int]:
        prefix = self._keys.room(room)
        what, value = ("offset", offset) if offset is not None else ("ts", since_ms or 0)
        first, head = await self._nodes.look(
            self._keys.shard(room), "locate", [prefix + ":log", prefix + ":meta"], what, value or 0
        )
        return int(first), int(head)

    async def present(self, events: Sequence[Event]) -> list[Message]:
        if not events:
            return []
        room = events[0].room
        shard, prefix = self._keys.shard(room), self._keys.room(room)
        seqs = [event.seq for event in events]
        touched = {
            int(seq) for seq in await self._nodes.run(shard, "ZRANGEBYSCORE", prefix + ":touched", min(seqs), max(seqs))
        }
        wanted = [seq for seq in seqs if seq in touched]
        states: dict[int, dict[bytes, bytes]] = {}
        if wanted:
            replies = await self._nodes.pipe(shard, [("HGETALL", f"{prefix}:msg:{seq}") for seq in wanted])
            states = {
                seq: dict(zip(row[::2], row[1::2], strict=True)) for seq, row in zip(wanted, replies, strict=True)
            }
        return [present_message(event, states.get(event.seq)) for event in events]

    async def settle(self) -> None:
        """Wait for accepted sends that are still on their way."""
        await self._lanes.idle()

    async def _epochs(self, room: str) -> list[tuple[int, int]]:
        """(epoch, first seq) pairs of the room; rises. Empty for an unknown room."""
        raw = await self._nodes.run(self._keys.shard(room), "HGET", self._keys.room(room) + ":meta", "epochs")
        return parse_epochs(raw)


def now_ms() -> int:
    return int(time.time() * 1000)


def refusal(status: bytes, room: str) -> ChatError:
    code = status.decode()
    if code not in FAILURES:
        return ChatError("internal", f"The log answered {code!r}.")
    if code == "not_a_member":
        return ChatError(code, f"Join the room first: PUT /v1/rooms/{room}/members/me.")
    return ChatError(code)


def parse_epochs(raw: bytes | None) -> list[tuple[int, int]]:
    pairs = [pair.split(b":") for pair in (raw or b"").split()]
    return [(int(epoch), int(first)) for epoch, first in pairs]


def epoch_of(epochs: Sequence[tuple[int, int]], seq: int) -> int:
    """The epoch under which the room's event `seq` was written (or would be next)."""
    found = epochs[0][0] if epochs else 0
    for epoch, first in epochs:
        if first <= seq:
            found = epoch
    return found


def decode_log_entry(room: str, row: Any) -> Event:
    """A log entry as lua/common.lua wrote it."""
    entry_id, (_, kind, _, place, _, body) = row
    epoch, seq = entry_id.split(b"-")
    offset, ts, messages = place.split()
    return Event(room, int(epoch), int(seq), kind.decode(), int(ts), body, int(offset), int(messages))


def present_message(event: Event, state: dict[bytes, bytes] | None) -> Message:
    """A message with what happened to it since; see lua/amend.lua for the state's fields."""
    fields = wire.body_fields(event)
    message = Message(event, fields.pop("sender"), fields)
    if not state:
        return message
    if b"deleted" in state:
        message.deleted = True
        return message
    if b"text" in state:
        message.fields["text"] = orjson.loads(state[b"text"])
        message.edited_at = int(state[b"edited"])
    marks: list[tuple[int, str, str]] = []
    for field, seq in state.items():
        if field.startswith(b"r "):
            emoji, user = field[2:].decode().rsplit(" ", 1)
            marks.append((int(seq), emoji, user))
    for _, emoji, user in sorted(marks):
        message.reactions = message.reactions or {}
        message.reactions.setdefault(emoji, []).append(user)
    return message
