"""The room log over Redis Streams: one stream a room, ids `<epoch>-<seq>`, `seq` dense."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from dchat_server import fold, wire
from dchat_server.adapters.redis_lanes import Answer, Lanes
from dchat_server.adapters.redis_missing import Missing, lost_again
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_wire import Value
from dchat_server.chunk import Row
from dchat_server.errors import FAILURES, BackendUnavailable, ChatError
from dchat_server.model import Draft, Event, Message, Sent
from dchat_server.ports import Amendment, Archived, Edge, Moved, Place, Trimmed

CLIENT_KEY_S = 24 * 3600
"""How long a sender's own idempotency key holds."""
OWN_KEY_S = 120
"""How long a key lives that only guards our own repeats: longer than any of them."""
MOST_REACTIONS = 500
"""Fields of a touched message's state: different (emoji, person) pairs."""


class RedisRoomLog:
    """Implements `RoomLog`. Shared by all requests of a worker."""

    def __init__(self, nodes: RedisNodes, missing: Missing | None = None, lanes: Lanes | None = None) -> None:
        self._nodes, self._keys = nodes, nodes.keys
        self._missing = missing or Missing(nodes)
        self._lanes = lanes or Lanes(nodes)
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

    def post(self, room: str, draft: Draft, told: Callable[[Sent | Exception | None], None]) -> None:
        def answered(outcome: list[Answer] | BaseException) -> None:
            if isinstance(outcome, BaseException):
                told(outcome if isinstance(outcome, Exception) else BackendUnavailable())
            else:
                (answer,) = outcome
                told(None if answer[0] == b"behind" else outcome_of(room, answer))

        self._lanes.put(self._keys.shard(room), self._arguments(room, (draft,)), answered)

    async def send_many(self, room: str, drafts: Sequence[Draft]) -> list[Sent | ChatError]:
        shard, args = self._keys.shard(room), self._arguments(room, drafts)
        answers = await self._lanes.submit(shard, args)
        if answers[0][0] == b"behind":  # then all are: they are of one room
            if not await self._missing.settle(room):
                return [ChatError("room_not_found")] * len(answers)
            answers = await self._lanes.submit(shard, args)
            if answers[0][0] == b"behind":
                raise lost_again()
        return [outcome_of(room, answer) for answer in answers]

    def _arguments(self, room: str, drafts: Sequence[Draft]) -> list[Value]:
        """What send.lua takes for these messages."""
        keys = self._keys
        prefix = keys.room(room)
        args: list[Value] = []
        for draft in drafts:
            key = keys.once(room, draft.sender, draft.client_id) if draft.client_id is not None else ""
            mentions = ",".join(draft.mentions) if draft.mentions else ""
            args += (prefix, room, draft.sender, key, CLIENT_KEY_S, draft.fingerprint, mentions, draft.body)
        return args

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
        base = (value for pair in amendment.base.items() for value in pair)
        reply = await self._missing.script(
            room,
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
            amendment.known,
            *base,
        )
        if reply[0] == b"moved":
            raise Moved
        if reply[0] == b"unchanged":
            return False
        if reply[0] != b"ok":
            raise refusal(reply[0], room)
        return True

    async def read(self, room: str, after: int, limit: int) -> list[Event]:
        after = max(after, 0)
        shard = self._keys.shard(room)
        # Which epoch the first event is of only the room knows; nearly always it is the one that holds now, so the rows
        # are asked for along with it.
        guess = self._nodes.state(shard).epoch
        (epochs, head), rows = await self._facts_and_rows(room, guess, after + 1, limit)
        if head is None and await self._missing.rooms((room,)):
            (epochs, head), rows = await self._facts_and_rows(room, guess, after + 1, limit)
        if (epoch := epoch_of(parse_epochs(epochs), after + 1)) != guess:
            (_, head), rows = await self._facts_and_rows(room, epoch, after + 1, limit)
        events = [decode_log_entry(room, row) for row in rows]
        # A stream says nothing about what was trimmed: seqs are dense, so arithmetic does.
        if events[0].seq != after + 1 if events else after < int(head or 0):
            raise Trimmed
        return events

    async def _facts_and_rows(self, room: str, epoch: int, first: int, limit: int) -> tuple[list[Any], list[Any]]:
        """The room's epochs and its head, and up to `limit` entries from `epoch`-`first` on. One round trip."""
        prefix = self._keys.room(room)
        facts, rows = await self._nodes.pipe(
            self._keys.shard(room),
            [
                ("HMGET", prefix + ":meta", "epochs", "head"),
                ("XRANGE", prefix + ":log", f"{epoch}-{first}", "+", "COUNT", limit),
            ],
        )
        return facts, rows

    async def read_back(self, room: str, before: int | None, limit: int) -> list[Event]:
        shard, prefix = self._keys.shard(room), self._keys.room(room)
        end = "+"
        if before is not None:
            if before <= 1:
                return []
            epochs = parse_epochs(await self._nodes.run(shard, "HGET", prefix + ":meta", "epochs"))
            end = f"{epoch_of(epochs, before - 1)}-{before - 1}"
        rows = await self._nodes.run(shard, "XREVRANGE", prefix + ":log", end, "-", "COUNT", limit)
        return [decode_log_entry(room, row) for row in rows]

    async def edge(self, room: str) -> Edge | None:
        reply = await self._look(room, "room_edge")
        if reply is None and await self._missing.rooms((room,)):
            reply = await self._look(room, "room_edge")
        if reply is None:
            return None
        head, watermark, floor, first, _, offset, ts, epochs = reply
        return Edge(head, watermark, floor, first, (int(offset), int(ts)), parse_epochs(epochs))

    async def locate(self, room: str, *, offset: int | None = None, since_ms: int | None = None) -> Place:
        what, value = ("offset", offset) if offset is not None else ("ts", since_ms or 0)
        first, head, trimmed, floor = await self._look(room, "locate", what, value or 0)
        if not head and await self._missing.rooms((room,)):
            first, head, trimmed, floor = await self._look(room, "locate", what, value or 0)
        if trimmed:
            # Where nothing but what retention took lies before the log, there is nothing more to be found.
            raise Trimmed(Place(int(first), int(head), int(floor) - 1))
        return Place(int(first), int(head))

    async def present(self, events: Sequence[Event]) -> list[Message]:
        if not events:
            return []
        room = events[0].room
        prefix = self._keys.room(room)
        keys = [prefix + ":log", prefix + ":meta", prefix + ":touched"]
        seqs = [event.seq for event in events]
        watermark, first, *touched = await self._nodes.look(self._keys.shard(room), "states", keys, prefix, *seqs)
        states = {
            int(seq): dict(zip(row[::2], row[1::2], strict=True))
            for seq, row in zip(touched[::2], touched[1::2], strict=True)
        }
        messages = []
        for event in events:
            state = states.get(event.seq)
            # What is not there may have been folded into the archive and let go since the event was read.
            if isinstance(event, Archived) and state is None:
                if event.known != watermark:
                    raise Moved
                message = fold.present(Row(event, event.state))
            elif state is None and not 0 < first <= event.seq:
                raise Moved
            else:
                message = present_message(event, state)
            message.known = watermark
            messages.append(message)
        return messages

    async def _look(self, room: str, name: str, *args: Value) -> Any:
        prefix = self._keys.room(room)
        return await self._nodes.look(self._keys.shard(room), name, [prefix + ":log", prefix + ":meta"], *args)

    async def settle(self) -> None:
        """Wait for accepted sends that are still on their way."""
        await self._lanes.idle()


def now_ms() -> int:
    return int(time.time() * 1000)


def outcome_of(room: str, answer: Answer) -> Sent | ChatError:
    """What send.lua answered for one message."""
    status, seq, ts, epoch = answer
    if status == b"ok" or status == b"repeat":
        return Sent(room, epoch, seq, ts, status == b"repeat")
    return refusal(status, room)


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
