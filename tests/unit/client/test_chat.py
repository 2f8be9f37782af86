"""The model of a face: what each update changes, and what a face is told to draw."""

from __future__ import annotations

from typing import Any

from dchat_client.chat import TYPING_S, Chat
from dchat_client.errors import Refused
from dchat_client.items import Phase, Status
from dchat_client.outbox import Entry, Outcome
from dchat_client.transcript import Sending
from dchat_client.updates import (
    Asked,
    Dropped,
    Failed,
    Happened,
    Marked,
    MembersAre,
    Missed,
    PageCame,
    Passed,
    Queued,
    RoomIs,
    Settled,
    StatusIs,
    Synced,
    Unanswered,
    Update,
)

ADA = {"username": "ada", "display_name": "Ada L."}
ENTRY = Entry("hall", "mine", "k")


def row(room: str, **fields: Any) -> dict[str, Any]:
    return {"room": room, "kind": "public", "joined": True, "head": 0, "read": 0, "unread": 0, **fields}


def said(room: str, seq: int, text: str = "hi", sender: str = "bob", **fields: Any) -> Happened:
    event = {"type": "message", "room": room, "seq": seq, "epoch": 1, "ts": "t", "sender": sender, "text": text}
    return Happened(event | fields)


def chat(*updates: Update) -> Chat:
    model = Chat()
    model.apply(Synced(ADA, [row("hall"), row("attic"), row("dm.1", kind="dm", users=["ada", "bob"])]))
    for update in updates:
        model.apply(update)
    return model


def opened(model: Chat, room: str = "hall", *messages: dict[str, Any]) -> None:
    model.apply(Asked(room))
    model.apply(PageCame(room, messages, 0, False))


def kinds(model: Chat, update: Update, now: float = 0.0) -> list[tuple[str, str | None]]:
    return [(change.kind, change.room) for change in model.apply(update, now)]


def test_rooms_stand_by_name_and_direct_ones_after_them() -> None:
    model = chat()
    assert [room.title for room in model.ordered()] == ["attic", "hall", "bob"]
    assert (model.me, model.names["ada"]) == ("ada", "Ada L.")


def test_rooms_that_a_new_picture_does_not_name_are_gone() -> None:
    model = chat()
    assert kinds(model, Synced(ADA, [row("hall")])) == [("rooms", None)]
    assert list(model.rooms) == ["hall"]


def test_a_message_is_counted_shown_and_told() -> None:
    model = chat()
    opened(model)
    changes = model.apply(said("hall", 1, "hello @ada"))
    assert [change.kind for change in changes] == ["room", "lines", "alert"]
    alert = changes[-1]
    assert (alert.why, alert.line) == ("mention", model.transcript("hall").find(1))
    assert (model.rooms["hall"].unread, model.rooms["hall"].mentions) == (1, 1)


def test_a_message_in_a_room_that_is_not_open_is_told_with_its_text() -> None:
    (*_, alert) = chat().apply(said("dm.1", 4, "psst"))
    assert alert.line is not None
    assert (alert.kind, alert.why, alert.line.text, alert.line.seq) == ("alert", "dm", "psst", 4)


def test_ones_own_messages_are_not_told() -> None:
    assert kinds(chat(), said("hall", 1, sender="ada")) == [("room", "hall")]


def test_an_own_message_goes_from_waiting_to_stored() -> None:
    model = chat()
    opened(model)
    assert kinds(model, Queued(ENTRY)) == [("lines", "hall")]
    assert model.pending == 1
    message = {"room": "hall", "seq": 1, "epoch": 1, "ts": "t", "sender": "ada", "text": "mine", "client_id": "k"}
    model.apply(Settled(Outcome(ENTRY, message)))
    model.apply(said("hall", 1, "mine", "ada", client_id="k"))
    assert ([line.text for line in model.transcript("hall")], model.pending) == (["mine"], 0)


def test_a_refused_message_is_shown_as_failed_and_said() -> None:
    model = chat(Queued(ENTRY))
    refusal = Settled(Outcome(ENTRY, error=Refused("too long", code="message_too_long")))
    assert kinds(model, refusal) == [("lines", "hall"), ("problem", "hall")]
    assert model.transcript("hall").pending[0].sending is Sending.FAILED
    assert kinds(model, Dropped("hall", "k")) == [("lines", "hall")]
    assert model.pending == 0


def test_markers_take_badges_away_here_and_elsewhere() -> None:
    model = chat(said("hall", 1), said("attic", 1))
    assert kinds(model, Marked("hall", 1)) == [("room", "hall")]
    assert kinds(model, Passed({"type": "read", "room": "attic", "read": 1, "unread": 0})) == [("room", "attic")]
    assert [room.unread for room in model.rooms.values()] == [0, 0, 0]


def test_one_who_leaves_has_the_room_no_longer_and_one_who_joins_has_it() -> None:
    model = chat()
    left = {"type": "member", "room": "hall", "seq": 1, "sender": "ada", "user": "ada", "action": "leave"}
    assert ("rooms", None) in kinds(model, Happened(left))
    assert "hall" not in model.rooms
    assert kinds(model, RoomIs(row("hall"))) == [("rooms", None)]
    assert kinds(model, RoomIs(row("hall", topic="new"))) == [("room", "hall")]
    assert model.rooms["hall"].topic == "new"
    model.apply(RoomIs(row("hall", joined=False)))
    assert "hall" not in model.rooms


def test_what_is_said_in_a_new_room_before_it_is_known_counts_although_the_answer_is_from_before() -> None:
    model = chat()
    joined = {"type": "member", "room": "new", "seq": 2, "sender": "bob", "user": "ada", "action": "invite"}
    model.apply(Happened(joined))
    model.apply(said("new", 3, "@ada"))
    model.apply(RoomIs(row("new", head=2)))
    assert (model.rooms["new"].unread, model.rooms["new"].mentions) == (1, 1)
    model.apply(said("other", 3))
    model.apply(RoomIs(row("other", head=3, unread=1)))
    assert model.rooms["other"].unread == 1


def test_the_people_of_a_room_follow_who_comes_and_goes() -> None:
    model = chat(MembersAre("hall", [{"user": "ada", "role": "owner"}, {"user": "bob", "display_name": "Bob"}]))
    assert model.names["bob"] == "Bob"
    joined = {
        "type": "member",
        "room": "hall",
        "seq": 1,
        "sender": "al",
        "user": "al",
        "action": "join",
        "role": "member",
    }
    assert ("people", "hall") in kinds(model, Happened(joined))
    assert [member["user"] for member in model.members["hall"]] == ["ada", "al", "bob"]
    model.apply(Happened(joined | {"seq": 2, "user": "bob", "action": "kick", "role": None}))
    assert [member["user"] for member in model.members["hall"]] == ["ada", "al"]


def test_who_types_is_seen_for_a_while_or_until_they_said_it() -> None:
    model = chat()
    typing = Passed({"type": "typing", "room": "hall", "sender": "bob"})
    assert kinds(model, typing, 10.0) == [("typing", "hall")]
    assert model.typing("hall", 10.0 + TYPING_S - 1) == ["bob"]
    assert model.typing("hall", 10.0 + TYPING_S + 1) == []
    assert ("typing", "hall") in kinds(model, said("hall", 1))
    assert model.typing("hall", 10.0) == []
    assert kinds(model, Passed({"type": "typing", "room": "hall", "sender": "ada"})) == []


def test_a_gap_makes_what_is_shown_stale_until_its_page_came() -> None:
    model = chat()
    opened(model)
    assert kinds(model, Missed(("hall",))) == [("lines", "hall")]
    assert model.transcript("hall").is_stale
    opened(model)
    assert not model.transcript("hall").is_stale


def test_a_page_is_drawn_and_one_that_does_not_come_is_not() -> None:
    model = chat()
    model.apply(Asked("hall"))
    assert kinds(model, Unanswered("hall")) == []
    model.apply(Asked("hall"))
    assert kinds(model, PageCame("hall", [], 0, False)) == [("page", "hall")]


def test_the_state_of_the_connection_and_problems_are_told() -> None:
    model = chat()
    assert kinds(model, StatusIs(Status(Phase.LIVE))) == [("status", None)]
    assert model.status.phase is Phase.LIVE
    problem = Failed("The topic was not changed", Refused("no", code="forbidden"), "hall")
    (change,) = model.apply(problem)
    assert (change.kind, change.problem) == ("problem", problem)
