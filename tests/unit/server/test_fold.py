"""Folding events into archived messages: the same as lua/amend.lua and `present_message` make of them."""

from __future__ import annotations

import random
from typing import Any

import orjson

from dchat_server import wire
from dchat_server.adapters.redis_room_log import present_message
from dchat_server.chunk import Row, State
from dchat_server.fold import (
    MAX_RANGES,
    edits_from,
    fold,
    overlay_fields,
    overlay_state,
    present,
    scrub,
    target_of,
)
from dchat_server.model import Event


def event(seq: int, kind: str, **body: Any) -> Event:
    return Event("lobby", 7, seq, kind, 1_764_000_000_000 + seq, wire.fields(**body), 100 + seq, seq)


def message(seq: int, text: str = "hi", sender: str = "ada") -> Event:
    return Event("lobby", 7, seq, "message", 1_764_000_000_000 + seq, wire.draft_body(sender, text, "k", 1), 1, 1)


def edit(seq: int, target: int, text: str) -> Event:
    return event(seq, "edit", sender="ada", target=target, text=text)


def delete(seq: int, target: int) -> Event:
    return event(seq, "delete", sender="ada", target=target)


def react(seq: int, target: int, emoji: str, user: str, action: str = "add") -> Event:
    return event(seq, "reaction", sender=user, target=target, emoji=emoji, action=action)


def shown(row: Row) -> dict[str, Any]:
    return wire.message_object(present(row))


def test_an_edit_gives_the_text_and_the_time_and_keeps_both_bodies() -> None:
    one, two = message(1, "one"), edit(2, 1, "two")
    folded = fold({}, [one, two])
    assert [row.event for row in folded.new] == [one, two]
    assert folded.new[0].state == State("two", two.ts, edits=((2, 2),))
    assert shown(folded.new[0])["text"] == "two"
    assert not folded.changed


def test_an_archived_row_changes_and_the_others_are_not_mentioned() -> None:
    old = {1: Row(message(1)), 2: Row(message(2))}
    folded = fold(old, [edit(3, 1, "new")])
    assert folded.changed.keys() == {1}
    assert folded.changed[1].event == old[1].event
    assert old[1].state is None


def test_a_deletion_takes_the_text_of_the_message_and_of_all_its_edits_old_and_new() -> None:
    old = {1: Row(message(1, "secret")), 2: Row(edit(2, 1, "secret too")), 3: Row(edit(3, 9, "other"))}
    folded = fold(old, [edit(4, 1, "secret again"), delete(5, 1), edit(6, 1, "secret still")])
    everything = {**old, **folded.changed, **{row.event.seq: row for row in folded.new}}
    assert not [row for row in everything.values() if b"secret" in row.event.body or "secret" in repr(row.state)]
    assert everything[1].event.body == b'"sender":"ada","client_id":"k","reply_to":1,"deleted":true}'
    assert everything[2].event.body == b'"sender":"ada","target":1,"deleted":true}'
    assert everything[3] == old[3]
    assert shown(everything[1]) == shown(Row(message(1), State(deleted_at=5)))
    assert "text" not in shown(everything[1])


def test_reactions_are_taken_once_and_in_the_order_they_were_given() -> None:
    run = [
        message(1),
        react(2, 1, "+1", "bob"),
        react(3, 1, "+1", "ada"),
        react(4, 1, "+1", "bob"),
        react(5, 1, "x", "bob"),
        react(6, 1, "x", "bob", "remove"),
        react(7, 1, "x", "bob", "remove"),
    ]
    row = fold({}, run).new[0]
    assert row.state is not None
    assert row.state.reactions == ((2, "+1", "bob"), (3, "+1", "ada"))
    assert shown(row)["reactions"] == [{"emoji": "+1", "count": 2, "users": ["bob", "ada"]}]


def test_what_is_done_to_an_unknown_message_or_to_another_kind_of_event_changes_nothing() -> None:
    old = {5: Row(event(5, "member", sender="ada", user="ada", action="join", role="member"))}
    run = [edit(8, 1, "x"), delete(9, 2), react(10, 3, "+1", "ada"), edit(11, 5, "x")]
    folded = fold(old, run)
    assert not folded.changed
    assert [row.event for row in folded.new] == run
    assert not any(row.state for row in folded.new)


def test_where_edits_are_stays_small_and_holds_them_all() -> None:
    dice = random.Random(3)
    seqs = sorted(dice.sample(range(2, 1_000_000), 500))
    row = Row(message(1))
    for seq in seqs:
        row = fold({1: row}, [edit(seq, 1, "x")]).changed[1]
    assert row.state is not None
    assert len(row.state.edits) == MAX_RANGES
    assert all(any(first <= seq <= last for first, last in row.state.edits) for seq in seqs)
    assert row.state.edits == tuple(sorted(row.state.edits))
    rest = edits_from(row.state, 500_000).edits
    assert rest[0][0] >= 500_000
    assert all(any(first <= seq <= last for first, last in rest) for seq in seqs if seq >= 500_000)


def test_scrub_takes_the_text_of_one_message_s_edits() -> None:
    rows = [Row(message(1, "stays")), Row(edit(2, 1, "goes")), Row(edit(3, 9, "stays"))]
    after = scrub(rows, 1)
    assert [row.event.body for row in after] == [
        rows[0].event.body,
        b'"sender":"ada","target":1,"deleted":true}',
        rows[2].event.body,
    ]
    assert scrub(after, 1) == after


def test_target_of_names_what_an_amendment_is_about() -> None:
    assert target_of(edit(2, 1, "x")) == target_of(delete(2, 1)) == target_of(react(2, 1, "x", "ada")) == 1
    assert target_of(message(1)) is None


class Hash(dict[bytes, bytes]):
    """What lua/amend.lua keeps of one message."""

    def amend(self, what: Event) -> None:
        body = wire.body_fields(what)
        if b"deleted" in self:
            return
        if what.type == "edit":
            self.update({b"text": orjson.dumps(body["text"]), b"edited": b"%d" % what.ts})
        elif what.type == "delete":
            self.clear()
            self[b"deleted"] = b"%d" % what.ts
        else:
            field = f"r {body['emoji']} {body['sender']}".encode()
            if body["action"] == "remove":
                self.pop(field, None)
            else:
                self.setdefault(field, b"%d" % what.seq)


def some_amendment(dice: random.Random, seq: int) -> Event:
    kind = dice.choice(["edit", "add", "add", "add", "remove", "delete"] if dice.random() < 0.2 else ["add", "edit"])
    user, emoji = dice.choice(["ada", "bob", "eve"]), dice.choice(["+1", "👍🏽", "a:b"])
    if kind in ("add", "remove"):
        return react(seq, 1, emoji, user, kind)
    return delete(seq, 1) if kind == "delete" else edit(seq, 1, dice.choice(["", "two\nlines", "ü"]) + "x")


def test_pages_show_the_same_from_the_archive_as_from_the_message_log() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        first, state = message(1, "hällo"), Hash()
        run = [some_amendment(dice, seq) for seq in range(2, 2 + dice.randrange(12))]
        row = Row(first)
        for each in run:
            state.amend(each)
            row = fold({1: row}, [each]).changed.get(1, row)
        assert fold({}, [first, *run]).new[0] == row
        expected = present_message(first, state)
        assert wire.message_object(present(row)) == wire.message_object(expected)
        if not expected.deleted:
            assert present(row) == expected
        # The archive's state, put back into the message log, shows the same and can be read back.
        fields = {str(k).encode(): v if isinstance(v, bytes) else v.encode() for k, v in _overlay(row).items()}
        assert wire.message_object(present_message(first, fields)) == wire.message_object(expected)
        assert overlay_state(fields) == (row.state or State())._replace(edits=())
        assert fields.pop(b"s") == b"0"
        assert fields == state


def _overlay(row: Row) -> dict[str, str | bytes]:
    return overlay_fields(row.state or State())
