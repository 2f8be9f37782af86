"""dchat send, dm."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


def texts(server: FakeServer, room: str = "lobby") -> list[str]:
    return [event["text"] for event in server.rooms[room]]


def test_a_message_is_stored_and_its_id_printed(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("send", "lobby", "Hello, 日本 👍").out == "lobby:1\n"
    ran = dchat("send", "lobby", "yes", "--reply-to", "1", "--json")
    assert json.loads(ran.out)["reply_to"] == 1
    assert texts(server) == ["Hello, 日本 👍", "yes"]


@pytest.mark.parametrize("args", [["-"], []])
def test_standard_input_is_one_message_without_its_last_line_end(
    dchat: Dchat, server: FakeServer, args: list[str]
) -> None:
    assert dchat("send", "lobby", *args, stdin=b"two\nlines\n\n").code == 0
    assert texts(server) == ["two\nlines\n"]


def test_a_text_may_begin_with_a_dash_after_two_dashes(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("send", "lobby", "--", "--help").code == 0
    assert texts(server) == ["--help"]


def test_an_answer_that_got_lost_makes_no_second_message(dchat: Dchat, server: FakeServer) -> None:
    server.faults.posts.append("swallow")
    ran = dchat("send", "lobby", "once")
    assert (ran.code, ran.out) == (0, "lobby:1\n")
    assert texts(server) == ["once"]


def test_a_busy_server_is_asked_again(dchat: Dchat, server: FakeServer) -> None:
    server.faults.posts.extend(["busy", "busy"])
    assert dchat("send", "lobby", "x").code == 0


def test_the_same_key_stores_once_and_another_text_is_a_conflict(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("send", "lobby", "x", "--key", "k").out == "lobby:1\n"
    again = dchat("send", "lobby", "x", "--key", "k")
    assert (again.out, "nothing was sent twice" in again.err) == ("lobby:1\n", True)
    assert dchat("send", "lobby", "y", "--key", "k").code == 1
    assert texts(server) == ["x"]


def test_a_text_that_is_too_long_is_refused_before_sending_and_split_on_wish(dchat: Dchat, server: FakeServer) -> None:
    long = ("wort " * 8000).encode()
    ran = dchat("send", "lobby", "-", stdin=long)
    assert (ran.code, ran.out, texts(server)) == (1, "", [])
    assert "--split" in ran.err
    assert dchat("send", "lobby", "-", "--split", stdin=long).out == "lobby:1\nlobby:2\nlobby:3\n"
    assert "".join(texts(server)).encode() == long


def test_refusals_have_their_codes(dchat: Dchat, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.room("other", "bob")
    ran = dchat("send", "other", "x")
    assert (ran.code, "dchat join" in ran.err) == (1, True)
    assert dchat("send", "nope", "x").code == 5
    server.faults.posts.append("500")
    assert dchat("send", "lobby", "x").code == 1
    monkeypatch.setenv("DCHAT_TOKEN", "wrong")
    ran = dchat("send", "lobby", "x")
    assert (ran.code, "dchat login" in ran.err) == (4, True)


def test_dm_writes_to_one_person_or_names_the_room(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("dm", "bob", "psst").out == "dm-ada-bob:1\n"
    assert dchat("dm", "bob").out == "dm-ada-bob\n"
    assert texts(server, "dm-ada-bob") == ["psst"]


# --stream

LINES = [f"Zeile {number} 日本 שלום 👨‍👩‍👧\t|" for number in range(700)]


def joined(lines: list[str], end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_line_becomes_a_message_in_order(dchat: Dchat, server: FakeServer, end: str) -> None:
    ran = dchat("send", "lobby", "--stream", stdin=joined(LINES, end))
    assert (ran.code, ran.out) == (0, "")
    assert texts(server) == LINES
    assert "700 messages are in lobby" in ran.err
    posts = [path for method, path in server.requests if method == "POST"]
    assert len(posts) <= 5


def test_a_last_line_without_end_counts_and_blank_lines_do_not(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("send", "lobby", "--stream", stdin=b"a\n\n \nb")
    assert texts(server) == ["a", " ", "b"]
    assert "1 blank line was left out" in ran.err


@pytest.mark.parametrize("fault", ["swallow", "cut", "busy", "limit", "500"])
def test_whatever_happens_on_the_way_each_line_is_there_once_and_in_order(
    dchat: Dchat, server: FakeServer, fault: str
) -> None:
    server.faults.posts.extend([fault, "", fault])
    ran = dchat("send", "lobby", "--stream", "--json", stdin=joined(LINES[:40]))
    assert ran.code == 0
    assert texts(server) == LINES[:40]
    assert [json.loads(line)["text"] for line in ran.out.splitlines()] == LINES[:40]


def test_the_same_input_with_the_same_key_adds_nothing(dchat: Dchat, server: FakeServer) -> None:
    dchat("send", "lobby", "--stream", "--key", "k", stdin=joined(LINES[:10]))
    ran = dchat("send", "lobby", "--stream", "--key", "k", stdin=joined(LINES[:12]))
    assert texts(server) == LINES[:12]
    assert "10 of them before" in ran.err


@pytest.mark.parametrize(
    ("bad", "words"), [(b"x" * 20_000, "line 3 has 20000 bytes"), (b"\xff\xfe", "line 3 is not UTF-8")]
)
def test_a_line_that_cannot_be_sent_stops_before_it_and_says_how_to_go_on(
    dchat: Dchat, server: FakeServer, bad: bytes, words: str
) -> None:
    ran = dchat("send", "lobby", "--stream", stdin=b"a\nb\n" + bad + b"\nc\n")
    assert ran.code == 1
    assert words in ran.err
    assert texts(server) == ["a", "b"]
    key = ran.err.split("--key ")[1].split()[0]
    mended = dchat("send", "lobby", "--stream", "--split", "--key", key, stdin=b"a\nb\n" + b"x" * 20_000 + b"\nc\n")
    assert mended.code == 0
    assert texts(server)[:2] == ["a", "b"]
    assert "".join(texts(server)[2:-1]) == "x" * 20_000
    assert texts(server)[-1] == "c"


def test_a_line_the_server_refuses_is_named(dchat: Dchat, server: FakeServer) -> None:
    server.max_line_bytes = 10
    ran = dchat("send", "lobby", "--stream", stdin=b"a\nmuch too long for it\nc\n")
    assert ran.code == 1
    assert "line 2 was refused" in ran.err
    assert dchat("send", "nope", "--stream", stdin=b"a\n").code == 5


def test_lines_are_sent_as_they_are_written_not_only_at_the_end(server: FakeServer, dchat: Dchat) -> None:
    command = [sys.executable, "-m", "dchat_client", "send", "lobby", "--stream", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("first", "second"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.close()
        assert process.wait(20) == 0


def test_stream_takes_no_text(dchat: Dchat) -> None:
    assert dchat("send", "lobby", "text", "--stream").code == 2
    assert dchat("send", "lobby", "--stream", "--key", "k" * 49).code == 2
