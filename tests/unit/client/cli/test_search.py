"""dchat search, thread: with a server that has them, and with one that has not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


def at(minute: int) -> str:
    return f"2026-11-23T{minute // 60:02}:{minute % 60:02}:00.000Z"


@pytest.fixture(autouse=True)
def _past(server: FakeServer) -> None:
    """Two rooms of 450 messages each, written in turn; every 100th has the word in it."""
    server.room("den", "ada", "bob")
    server.room("zoo", "bob")
    server.say("zoo", "the Needle of others", ts=at(900))
    for number in range(450):
        for offset, room in enumerate(("lobby", "den")):
            text = f"a NEEDLE, {room} {number}" if number % 100 == 50 else f"hay {number}"
            server.say(room, text, sender="bob" if number < 300 else "ada", ts=at(2 * number + offset))


def found(out: str) -> list[str]:
    return [" ".join(line.split("needle, ")[1].split()) for line in out.lower().splitlines() if "needle" in line]


NEWEST_FIRST = [f"{room} {number}" for number in (450, 350, 250, 150, 50) for room in ("den", "lobby")][2:]


def test_without_a_search_all_rooms_one_is_in_are_read_back_newest_first(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("search", "needle")
    assert (ran.code, found(ran.out)) == (0, NEWEST_FIRST)
    assert "This server has no search; reading back 2 rooms." in ran.err
    assert "den #351 ada: a NEEDLE, den 350" in ran.out


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--limit", "3"], NEWEST_FIRST[:3]),
        (["--room", "den"], [name for name in NEWEST_FIRST if "den" in name]),
        (["--sender", "ada"], NEWEST_FIRST[:2]),
        (["--since", at(500)], NEWEST_FIRST[:4]),
        (["--until", at(500)], NEWEST_FIRST[4:]),
        (["--since", at(101), "--until", at(301)], ["lobby 150", "den 50"]),
    ],
)
def test_what_is_looked_for_can_be_narrowed(dchat: Dchat, args: list[str], expected: list[str]) -> None:
    assert found(dchat("search", "needle", *args).out) == expected


def test_all_words_have_to_be_there(dchat: Dchat) -> None:
    assert found(dchat("search", "250 needle").out) == ["den 250", "lobby 250"]
    ran = dchat("search", "needle hay")
    assert (ran.code, ran.out, "Nothing was found" in ran.err) == (0, "", True)
    assert dchat("search", " ").code == 2


def test_it_stops_early_when_enough_was_found_or_the_time_is_over(dchat: Dchat, server: FakeServer) -> None:
    for args in (["--limit", "2"], ["--since", at(898)]):
        server.requests.clear()
        dchat("search", "needle", *args)
        assert sum("/messages" in path for _, path in server.requests) <= 3, args


def test_it_stops_after_so_many_messages_and_says_how_far_it_came(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("search", "needle", "--max-messages", "400")
    assert (found(ran.out), "--max-messages looks further" in ran.err) == (NEWEST_FIRST[:4], True)
    assert "Looked at 400 messages, back to 2026-11-23" in ran.err


def test_a_server_that_searches_is_asked_and_read_to_the_end(dchat: Dchat, server: FakeServer) -> None:
    asked: list[dict[str, str]] = []
    hits = [event for event in server.rooms["lobby"] if "NEEDLE" in event["text"]][::-1]

    def search(query: dict[str, str]) -> dict[str, Any]:
        asked.append(query)
        start = int(query.get("cursor", 0))
        return {"hits": hits[start : start + 2], "next": str(start + 2) if start + 2 < len(hits) else None}

    server.search = search
    ran = dchat("search", "needle", "--room", "lobby", "--sender", "bob", "--json")
    assert [json.loads(line)["seq"] for line in ran.out.splitlines()] == [351, 251, 151, 51]
    assert asked[0] == {"q": "needle", "room": "lobby", "sender": "bob", "limit": "20"}
    assert "no search" not in ran.err
    asked.clear()
    assert len(dchat("search", "needle", "--since", at(600)).out.splitlines()) == 1
    assert len(asked) == 1
    assert not any("/messages" in path for _, path in server.requests)


def test_what_is_found_cannot_act_on_the_terminal(dchat: Dchat, server: FakeServer) -> None:
    server.say("lobby", "needle \x1b[2J", ts=at(1000))
    assert "\x1b" not in dchat("search", "needle").out


@pytest.mark.parametrize("threads", [True, False])
def test_a_thread_is_the_message_and_its_answers_oldest_first(dchat: Dchat, server: FakeServer, threads: bool) -> None:
    server.threads = threads
    for number in range(5):
        server.say("lobby", f"answer {number}", reply_to=20)
        server.say("lobby", "beside", reply_to=21)
    ran = dchat("thread", "lobby", "20", "--json")
    assert [json.loads(line)["text"] for line in ran.out.splitlines()] == [
        "hay 19",
        *(f"answer {number}" for number in range(5)),
    ]
    assert dchat("thread", "lobby", "9999").code == 5


def test_answers_to_answers_are_in_their_own_thread_and_far_ones_are_not_looked_for(
    dchat: Dchat, server: FakeServer
) -> None:
    first = server.say("lobby", "one", reply_to=20)
    server.say("lobby", "two", reply_to=first["seq"])
    assert [line.split(": ")[-1] for line in dchat("thread", "lobby", "20").out.splitlines()] == ["hay 19", "one"]
    assert len(dchat("thread", "lobby", "20", "--max-messages", "100").out.splitlines()) == 1


def test_a_stretch_without_answers_does_not_end_a_thread(dchat: Dchat, server: FakeServer) -> None:
    server.threads = True
    server.scanned = 100
    for _ in range(3):
        server.say("lobby", "answer", reply_to=20)
    assert len(dchat("thread", "lobby", "20").out.splitlines()) == 4
