"""dchat rooms, create, join, leave, invite, members."""

from __future__ import annotations

import json

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


def test_all_pages_of_rooms_are_listed_tab_separated(dchat: Dchat, server: FakeServer) -> None:
    for name in "abcd":
        server.room(name, "bob")
    rows = [line.split("\t") for line in dchat("rooms").out.splitlines()]
    assert [row[1] for row in rows] == ["a", "b", "c", "d", "lobby"]
    assert rows[-1] == ["*", "lobby", "public", "2", "0", "0", "all of us"]
    assert [json.loads(line)["room"] for line in dchat("rooms", "--joined", "--json").out.splitlines()] == ["lobby"]


def test_a_topic_cannot_act_on_the_terminal_or_forge_a_column(dchat: Dchat, server: FakeServer) -> None:
    server.room("evil", topic="\x1b[2J\tx\ny\u202e")
    row = next(line for line in dchat("rooms").out.splitlines() if "evil" in line)
    assert row.split("\t")[-1] == "␛[2J x␊y⟨U+202E⟩"


def test_a_room_is_made_joined_and_left(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("create", "den", "--private", "--topic", "us").code == 0
    assert server.details["den"] == {"kind": "private", "topic": "us"}
    ran = dchat("create", "den")
    assert (ran.code, "join it with" in ran.err) == (1, True)
    server.room("open", "bob")
    assert dchat("join", "open").code == 0
    assert dchat("join", "open").code == 0
    assert "ada" in server.members["open"]
    assert dchat("leave", "open").code == 0
    assert "ada" not in server.members["open"]


def test_somebody_is_invited_with_a_role_and_listed(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("invite", "lobby", "eve", "--role", "reader").code == 0
    assert dchat("members", "lobby").out.splitlines()[-1] == "eve\treader\teve\tonline"
    assert json.loads(dchat("members", "lobby", "--json").out.splitlines()[-1])["user"] == "eve"


def test_somebody_is_put_out_of_a_room(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("kick", "lobby", "bob").code == 0
    assert list(server.members["lobby"]) == ["ada"]


def test_people_are_listed_by_how_their_names_begin_and_by_who_is_there(dchat: Dchat, server: FakeServer) -> None:
    server.users |= {"bob": "pw", "bea": "pw", "eve": "pw"}
    server.online = {"bob"}
    assert dchat("users", "b").out == "bea\tBea\toffline\nbob\tBob\tonline\n"
    assert dchat("users", "--online").out == "bob\tBob\tonline\n"
    assert [json.loads(line)["user"] for line in dchat("members", "lobby", "--online", "--json").out.splitlines()] == [
        "bob"
    ]


def test_a_room_that_is_not_there_ends_with_5(dchat: Dchat) -> None:
    for args in (["join", "nope"], ["members", "nope"], ["leave", "nope"], ["history", "nope"], ["read", "nope"]):
        assert dchat(*args).code == 5


def test_a_name_cannot_reach_another_address(dchat: Dchat, server: FakeServer) -> None:
    for name in ("..", ".", ""):
        assert dchat("join", name).code == 5
    assert dchat("join", "../me?x=1#").code == 5
    assert server.requests == [("PUT", "/v1/rooms/..%2Fme%3Fx=1%23/members/me")]


def test_a_topic_is_shown_set_and_taken_away(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("topic", "lobby").out == "all of us\n"
    assert dchat("topic", "lobby", "new\x1b").code == 0
    assert dchat("topic", "lobby").out == "new␛\n"
    assert json.loads(dchat("topic", "lobby", "", "--json").out)["topic"] == ""
    assert server.details["lobby"]["topic"] == ""
