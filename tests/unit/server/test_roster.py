"""A room's people and facts from its events: the same as the scripts keep in the message log."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dchat_server import wire
from dchat_server.model import Event
from dchat_server.roster import MAX_DELETED, MAX_MENTIONS, BadRoster, Roster, decode, fold_facts


class Talk:
    """Makes events one after the other and applies each."""

    def __init__(self) -> None:
        self.roster, self.seq, self.messages = Roster(), 0, 0

    def tell(self, kind: str, **body: Any) -> int:
        self.seq += 1
        self.messages += kind == "message"
        self.roster.apply(Event("lobby", 1, self.seq, kind, self.seq, wire.fields(**body), self.seq, self.messages))
        return self.seq

    def say(self, sender: str, text: str) -> int:
        return self.tell("message", sender=sender, text=text)

    def join(self, user: str, role: str = "member") -> None:
        self.tell("member", sender=user, user=user, action="join", role=role)


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.join("ada", "owner")
    talk.join("bob")
    return talk


def test_people_come_change_and_go(talk: Talk) -> None:
    talk.tell("member", sender="ada", user="bob", action="role", role="reader")
    talk.tell("member", sender="ada", user="eve", action="invite", role="member")
    talk.tell("member", sender="ada", user="eve", action="kick", role=None)
    assert talk.roster.members == {"ada": "owner", "bob": "reader"}


def test_each_writer_s_last_place_is_known(talk: Talk) -> None:
    talk.say("ada", "1")
    talk.tell("edit", sender="ada", target=3, text="one")
    last = talk.say("ada", "2")
    assert talk.roster.posted == {"ada": (last, 2)}


def test_only_members_of_that_moment_are_called(talk: Talk) -> None:
    first = talk.say("ada", "@bob @eve @bob look")
    talk.join("eve")
    second = talk.say("ada", "@eve")
    talk.tell("member", sender="eve", user="eve", action="leave", role=None)
    talk.say("ada", "@eve")
    assert talk.roster.mentions == {"bob": [first], "eve": [second]}


def test_an_edit_calls_others_and_a_deletion_nobody(talk: Talk) -> None:
    first, second = talk.say("ada", "@bob"), talk.say("ada", "@bob")
    talk.tell("edit", sender="ada", target=first, text="@ada")
    assert talk.roster.mentions == {"bob": [second], "ada": [first]}
    talk.tell("edit", sender="ada", target=first, text="@bob again")
    assert talk.roster.mentions == {"bob": [first, second]}
    talk.tell("delete", sender="ada", target=first)
    talk.tell("delete", sender="ada", target=second)
    assert talk.roster.mentions == {}
    assert talk.roster.deleted == [first, second]


def test_events_that_lost_their_text_call_nobody(talk: Talk) -> None:
    seq = talk.tell("message", sender="ada", deleted=True)
    talk.tell("edit", sender="ada", target=seq, deleted=True)
    assert talk.roster.mentions == {}
    assert talk.roster.posted["ada"] == (seq, 1)


def test_lists_keep_the_newest(talk: Talk) -> None:
    for _ in range(MAX_MENTIONS + 5):
        last = talk.say("ada", "@bob")
    assert len(talk.roster.mentions["bob"]) == MAX_MENTIONS
    assert talk.roster.mentions["bob"][-1] == last
    for target in range(1, MAX_DELETED + 6):
        talk.tell("delete", sender="ada", target=target)
    assert talk.roster.deleted == list(range(6, MAX_DELETED + 6))


def test_a_roster_goes_on_from_its_stored_form_and_equals_a_plain_model(talk: Talk) -> None:
    dice = random.Random(1)
    called: dict[int, set[str]] = {}
    for _ in range(500):
        users = set(dice.sample(["ada", "bob", "eve"], dice.randrange(3)))
        text = " ".join(f"@{user}" for user in users)
        action = dice.random()
        target = dice.choice(sorted(called)) if called else None
        if target is None or action < 0.5:
            called[talk.say("ada", text)] = users & talk.roster.members.keys()
        elif action < 0.8:
            talk.tell("edit", sender="ada", target=target, text=text)
            called[target] = users & talk.roster.members.keys()
        elif action < 0.9:
            talk.tell("delete", sender="ada", target=target)
            del called[target]
        elif "eve" in talk.roster.members:
            talk.tell("member", sender="eve", user="eve", action="leave", role=None)
        else:
            talk.join("eve")
        if dice.random() < 0.2:
            stored = decode(talk.roster.encode())
            assert stored == talk.roster
            talk.roster = stored
    users = {user for some in called.values() for user in some}
    assert talk.roster.mentions == {user: sorted(seq for seq in called if user in called[seq]) for user in users}


def test_large_rosters_come_in_parts() -> None:
    dice = random.Random(1)
    roster = Roster({f"user-{dice.randrange(10**20)}": "member" for _ in range(50_000)})
    parts = roster.encode()
    assert len(parts) > 1
    assert max(map(len, parts)) <= 256 * 1024
    assert decode(parts) == roster


def test_nothing_stored_is_an_empty_roster_and_damage_is_noticed() -> None:
    assert decode([]) == Roster()
    for bad in (b"\x02abc", b"\x01abc", Roster().encode()[0][:-2]):
        with pytest.raises(BadRoster):
            decode([bad])


def room_event(seq: int, **body: Any) -> Event:
    return Event("lobby", 1, seq, "room", 1000 + seq, wire.fields(sender="ada", **body), seq, 0)


def test_facts_follow_the_room_s_events() -> None:
    made = room_event(1, action="create", kind="private", topic="t", display_name="")
    facts = fold_facts({}, [made])
    assert facts == {
        "kind": "private",
        "topic": "t",
        "display_name": "",
        "archived": "0",
        "created": "1001",
        "creator": "ada",
    }
    later = fold_facts(facts, [room_event(2, action="archive", kind="private", topic="t2", display_name="d")])
    assert later == facts | {"archived": "1", "topic": "t2", "display_name": "d"}
    assert fold_facts(later, [room_event(3, action="unarchive", topic="t2")])["archived"] == "0"
    assert fold_facts(later, [room_event(3, action="update", retention="7")])["retention"] == "7"
    assert fold_facts(facts, [Event("lobby", 1, 2, "message", 5, b'"text":""}', 2, 1)]) == facts
