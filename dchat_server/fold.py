"""What a room's events make of its messages, worked out without asking anybody. Pure.

The archive keeps every event with its own body, and beside a message what became of it (`State`, chunk.py). `fold`
takes the archived rows that a run of new events touches, and the run, and says what the rows are afterwards. It never
looks at the message log's present state of a message, so what is archived is right at its watermark, whatever happens
later or is lost.

A deletion is the only thing that changes a body: the text goes, of the message and of all its edits. Those may lie in
many chunks, so a state remembers where (`State.edits`), as ranges, of which there are never more than `MAX_RANGES`: a
message that is edited a million times must not make its chunk large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from dchat_server import wire
from dchat_server.chunk import Row, State
from dchat_server.model import Event, Message

MAX_RANGES = 32
AMENDMENTS = ("edit", "delete", "reaction")


class Folded(NamedTuple):
    """What a run did: archived rows that changed, by seq, and the rows of the run itself."""

    changed: dict[int, Row]
    new: list[Row]


def fold(old: Mapping[int, Row], events: Sequence[Event]) -> Folded:
    """Apply a dense run of events to the archived rows it touches.

    `old` must hold the targets of the run's amendments, and of a deletion also the target's edits, as far as they are
    archived and kept; it may hold more. An amendment whose target is in neither changes nothing.
    """
    return _Fold(old).run(events)


def target_of(event: Event) -> int | None:
    """The message that an edit, a deletion or a reaction is about; None of other events."""
    return int(wire.body_fields(event)["target"]) if event.type in AMENDMENTS else None


def scrub(rows: Sequence[Row], target: int) -> list[Row]:
    """These rows, the edits of message `target` without their text."""
    return [_scrubbed(row) if row.event.type == "edit" and _edit_of(row) == target else row for row in rows]


def edits_from(state: State, seq: int) -> State:
    """The state without those edits' places that lie before `seq`."""
    rest = ((max(first, seq), last) for first, last in state.edits if last >= seq)
    return state._replace(edits=tuple(rest))


def present(row: Row) -> Message:
    """An archived message as it is now; just what the message log would answer for it."""
    fields = wire.body_fields(row.event)
    message = Message(row.event, fields.pop("sender"), fields)
    state = row.state
    if fields.pop("deleted", False) or (state is not None and state.deleted_at is not None):
        message.deleted = True
        return message
    if state is None:
        return message
    if state.text is not None:
        fields["text"], message.edited_at = state.text, state.edited_at
    for _, emoji, user in state.reactions:
        message.reactions = message.reactions or {}
        message.reactions.setdefault(emoji, []).append(user)
    return message


def overlay_fields(state: State) -> dict[str, str | bytes]:
    """The state as the hash that lua/amend.lua keeps of a touched message; `s` 0: all of it is archived."""
    fields: dict[str, str | bytes] = {"s": "0"}
    if state.deleted_at is not None:
        return {**fields, "deleted": str(state.deleted_at)}
    if state.text is not None:
        fields["text"] = orjson.dumps(state.text)
        fields["edited"] = str(state.edited_at)
    for seq, emoji, user in state.reactions:
        fields[f"r {emoji} {user}"] = str(seq)
    return fields


def overlay_state(fields: Mapping[bytes, bytes]) -> State:
    """The way back from such a hash. It does not say where the edits are."""
    if b"deleted" in fields:
        return State(deleted_at=int(fields[b"deleted"]))
    text = orjson.loads(fields[b"text"]) if b"text" in fields else None
    edited_at = int(fields[b"edited"]) if b"edited" in fields else None
    return State(text, edited_at, None, tuple(sorted(_marks(fields))))


def _marks(fields: Mapping[bytes, bytes]) -> Iterator[tuple[int, str, str]]:
    for field, seq in fields.items():
        if field.startswith(b"r "):
            emoji, user = field[2:].decode().rsplit(" ", 1)
            yield int(seq), emoji, user


class _Fold:
    """One run. `_edits` finds a message's edits among the rows at hand; made only when something is deleted."""

    def __init__(self, old: Mapping[int, Row]) -> None:
        self._old = old
        self._changed: dict[int, Row] = {}
        self._new: dict[int, Row] = {}
        self._edits: dict[int, list[int]] | None = None

    def run(self, events: Sequence[Event]) -> Folded:
        for event in events:
            self._new[event.seq] = Row(event)
            if event.type in AMENDMENTS:
                self._amend(event, wire.body_fields(event))
        return Folded(self._changed, list(self._new.values()))

    def _amend(self, event: Event, body: Mapping[str, Any]) -> None:
        target = int(body["target"])
        row = self._row(target)
        if row is None or row.event.type != "message":
            return
        state = row.state or State()
        if state.deleted_at is not None:
            if event.type == "edit":  # what was deleted stays so, and its text does not come back this way
                self._put(_scrubbed(self._new[event.seq]))
        elif event.type == "edit":
            edits = _widened(state.edits, event.seq)
            self._put(row._replace(state=state._replace(text=body["text"], edited_at=event.ts, edits=edits)))
            if self._edits is not None:
                self._edits.setdefault(target, []).append(event.seq)
        elif event.type == "delete":
            self._put(_scrubbed(row)._replace(state=State(deleted_at=event.ts)))
            for seq in self._edits_of(target):
                found = self._row(seq)
                assert found is not None
                self._put(_scrubbed(found))
        else:
            marks = _marked(state.reactions, event.seq, body)
            if marks != state.reactions:
                self._put(row._replace(state=state._replace(reactions=marks)))

    def _row(self, seq: int) -> Row | None:
        return self._new.get(seq) or self._changed.get(seq) or self._old.get(seq)

    def _put(self, row: Row) -> None:
        (self._new if row.event.seq in self._new else self._changed)[row.event.seq] = row

    def _edits_of(self, target: int) -> Sequence[int]:
        if self._edits is None:
            self._edits = {}
            for rows in (self._old, self._new):
                for seq, row in rows.items():
                    if row.event.type == "edit":
                        self._edits.setdefault(_edit_of(row), []).append(seq)
        return self._edits.get(target, ())


def _edit_of(row: Row) -> int:
    return int(wire.body_fields(row.event)["target"])


def _scrubbed(row: Row) -> Row:
    """The row without what was said: a message keeps its sender, its idempotency key and what it answers, an edit its
    target."""
    body = wire.body_fields(row.event)
    kept = {name: body[name] for name in ("sender", "target", "client_id", "reply_to") if name in body}
    return row._replace(event=row.event._replace(body=wire.fields(**kept, deleted=True)))


def _marked(
    marks: tuple[tuple[int, str, str], ...], seq: int, body: Mapping[str, Any]
) -> tuple[tuple[int, str, str], ...]:
    """The reactions after one more was added, or taken back."""
    emoji, user = body["emoji"], body["sender"]
    if body["action"] != "add":
        return tuple(mark for mark in marks if mark[1:] != (emoji, user))
    if any(mark[1:] == (emoji, user) for mark in marks):
        return marks
    return (*marks, (seq, emoji, user))


def _widened(ranges: tuple[tuple[int, int], ...], seq: int) -> tuple[tuple[int, int], ...]:
    """The ranges and `seq`, which lies behind them all; the two nearest become one when there are too many."""
    if ranges and ranges[-1][1] + 1 == seq:
        return (*ranges[:-1], (ranges[-1][0], seq))
    ranges = (*ranges, (seq, seq))
    if len(ranges) <= MAX_RANGES:
        return ranges
    at = min(range(len(ranges) - 1), key=lambda at: ranges[at + 1][0] - ranges[at][1])
    return (*ranges[:at], (ranges[at][0], ranges[at + 1][1]), *ranges[at + 2 :])
