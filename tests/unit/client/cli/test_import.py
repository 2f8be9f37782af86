"""dchat import, into a fake server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dchat_client.errors import Unreachable
from dchat_client.imports import carry
from tests.data.slack_export import FILES, GENERAL, message, write_folder, write_zip
from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer

QUIET = [text.replace("@", "＠") if "hi @Bob" not in text else text for text in GENERAL]
# "@Bob" calls nobody: names are lower-case.

LOG = "".join(f"[12:{minute:02}] <ada> line {minute}\n" for minute in range(60))


def texts(server: FakeServer, room: str) -> list[str]:
    return [message["text"] for message in server.rooms[room]]


@pytest.fixture
def log(home: Path) -> Path:
    path = home / "2024-05-01.log"
    path.write_text(LOG)
    return path


def test_slacks_channels_become_rooms_and_threads_replies(dchat: Dchat, server: FakeServer, home: Path) -> None:
    ran = dchat("import", "slack", str(write_zip(home / "x.zip")))
    assert (ran.code, ran.out) == (0, "")
    assert texts(server, "general") == QUIET
    root = next(message["seq"] for message in server.rooms["general"] if "see #" in message["text"])
    assert [message.get("reply_to") for message in server.rooms["general"]] == [None] * 7 + [root, root, None]
    assert server.details["general"] == {"kind": "public", "topic": "all of @Ada"}
    assert (server.details["secret"]["kind"], texts(server, "grosse-runde")) == (
        "private",
        ["[2024-05-01 00:01:40Z] Ada: in the round"],
    )
    assert "10 messages are in general; 2 left out." in ran.err
    assert "1 direct conversation was left out" in ran.err
    assert set(server.rooms) == {"lobby", "general", "secret", "grosse-runde"}


def test_run_again_nothing_is_doubled_also_when_the_server_forgot_the_keys(
    dchat: Dchat, server: FakeServer, home: Path
) -> None:
    path = str(write_folder(home / "export"))
    dchat("import", "slack", path)
    server.keys.clear()  # a day later
    ran = dchat("import", "slack", path)
    assert (ran.code, "10 messages are in general, 10 of them before" in ran.err) == (0, True)
    assert texts(server, "general") == QUIET
    assert len(texts(server, "secret")) == 1


def test_run_again_from_another_machine_nothing_is_doubled_and_replies_find_their_message(
    dchat: Dchat, server: FakeServer, home: Path, log: Path
) -> None:
    path = str(write_zip(home / "x.zip"))
    dchat("import", "slack", path)
    said = [(message["text"], message.get("reply_to")) for message in server.rooms["general"]]
    assert dchat("import", "slack", path, "--forget").code == 0
    assert [(message["text"], message.get("reply_to")) for message in server.rooms["general"]] == said


def test_what_was_edited_since_it_was_brought_stays_as_it_was_brought(
    dchat: Dchat, server: FakeServer, home: Path
) -> None:
    dchat("import", "slack", str(write_zip(home / "x.zip")), "--room", "general")
    newer = FILES | {
        "general/2024-05-02.json": [message("1714608000.000100", "changed"), message("1714609000.0", "new")]
    }
    ran = dchat("import", "slack", str(write_zip(home / "y.zip", newer)), "--room", "general", "--forget")
    assert (ran.code, "9 messages are in general, 8 of them before" in ran.err) == (0, True)
    assert texts(server, "general") == [*QUIET, "[2024-05-02 00:16:40Z] Ada: new"]


def test_a_conversation_goes_where_it_is_sent(dchat: Dchat, server: FakeServer, home: Path) -> None:
    path = str(write_zip(home / "x.zip"))
    assert dchat("import", "slack", path, "--room", "#general=lobby", "--room", "D1=talks").code == 0
    assert set(server.rooms) == {"lobby", "talks"}
    assert (len(texts(server, "lobby")), server.details["talks"]["kind"]) == (10, "private")
    ran = dchat("import", "slack", path, "--room", "nope")
    assert (ran.code, "no conversation" in ran.err) == (2, True)


def test_what_was_private_does_not_become_public_unasked(dchat: Dchat, server: FakeServer, home: Path) -> None:
    server.room("secret", "ada")
    path = str(write_zip(home / "x.zip"))
    ran = dchat("import", "slack", path, "--room", "secret")
    assert (ran.code, "--room secret=secret" in ran.err, texts(server, "secret")) == (1, True, [])
    assert dchat("import", "slack", path, "--room", "secret=secret").code == 0
    assert len(texts(server, "secret")) == 1


def test_a_log_is_brought_and_its_room_joined(dchat: Dchat, server: FakeServer, log: Path) -> None:
    server.room("irc", "bob")
    assert dchat("import", "irc", str(log), "--room", "irc").code == 0
    assert texts(server, "irc") == [f"[2024-05-01 12:{minute:02}] ada: line {minute}" for minute in range(60)]
    with log.open("a") as file:
        file.write("[13:00] * ada leaves\n")
    ran = dchat("import", "irc", str(log), "--room", "irc")
    assert "61 messages are in irc, 60 of them before." in ran.err
    assert texts(server, "irc")[60:] == ["[2024-05-01 13:00] * ada leaves"]


@pytest.mark.parametrize("fault", ["swallow", "busy", "limit", "cut", "500"])
def test_whatever_happens_on_the_way_each_message_arrives_once_and_in_order(
    dchat: Dchat, server: FakeServer, log: Path, fault: str
) -> None:
    server.faults.posts += [fault, fault]
    ran = dchat("import", "irc", str(log), "--room", "lobby")
    assert ran.code == 0
    assert texts(server, "lobby") == [f"[2024-05-01 12:{minute:02}] ada: line {minute}" for minute in range(60)]
    assert ("DCHAT_RATE_MESSAGES" in ran.err) == (fault == "limit")


def test_an_import_that_stopped_says_so_and_goes_on(
    dchat: Dchat, server: FakeServer, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    async def stops(connection: Any, outbox: Any, settled: Any, **options: Any) -> None:
        batch = outbox.take(1e12)[:25]
        outcomes = outbox.answered(await connection.post_batch("lobby", batch), 0)
        for outcome in outcomes:
            settled(outcome)
        sent.append(len(outcomes))
        raise Unreachable("it went away", code="unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(carry, "deliver", stops)
        ran = dchat("import", "irc", str(log), "--room", "lobby")
    assert (ran.code, sent, "Stopped: 25 messages are in lobby" in ran.err) == (3, [25], True)
    server.keys.clear()
    assert dchat("import", "irc", str(log), "--room", "lobby").code == 0
    assert texts(server, "lobby") == [f"[2024-05-01 12:{minute:02}] ada: line {minute}" for minute in range(60)]


def test_a_dry_run_sends_nothing_and_needs_no_server(
    dchat: Dchat, server: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DCHAT_TOKEN")
    ran = dchat("import", "slack", str(write_zip(home / "x.zip")), "--dry-run")
    assert (ran.code, server.requests) == (0, [])
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert rows[0] == [
        *["general", "general", "10", "2", "2", "2"],
        *["2024-05-01", "2024-05-02"],
    ]
    assert [row[:2] for row in rows[1:]] == [["Große Runde!", "grosse-runde"], ["secret", "secret"]]


def test_a_long_message_is_split_and_joins_to_what_it_was(dchat: Dchat, server: FakeServer, home: Path) -> None:
    server.max_line_bytes = 300
    path = home / "x.ndjson"
    long = "wörd " * 400
    path.write_text(json.dumps({"room": "lobby", "seq": 1, "sender": "ada", "text": long}) + "\n")
    assert dchat("import", "ndjson", str(path), "--max-bytes", "300").code == 0
    assert len(texts(server, "lobby")) > 5
    assert "".join(texts(server, "lobby")) == f"ada: {long}"
    before = len(texts(server, "lobby"))
    server.keys.clear()
    dchat("import", "ndjson", str(path), "--max-bytes", "300")
    assert len(texts(server, "lobby")) == before


@pytest.fixture
def exported(dchat: Dchat, server: FakeServer, home: Path) -> Path:
    """The room `old`: said, answered, deleted."""
    server.room("old", "ada", topic="before")
    server.say("old", "first\x00\u202e", sender="bob")
    server.say("old", "second @ada", reply_to=1)
    server.say("old", "gone", deleted=True)
    del server.rooms["old"][2]["text"]
    server.say("old", "third", reply_to=2)
    path = home / "old.ndjson"
    assert dchat("export", "old", "-o", str(path)).code == 0
    return path


def test_an_export_comes_back_as_it_was(dchat: Dchat, server: FakeServer, exported: Path) -> None:
    assert dchat("import", "ndjson", str(exported), "--room", "new", "--as-is").code == 0
    new = server.rooms["new"]
    assert [(message["text"], message.get("reply_to")) for message in new] == [
        ("first\x00\u202e", None),
        ("second @ada", 1),
        ("third", 2),
    ]
    assert server.details["new"]["topic"] == "before"


def test_an_export_says_who_and_when_unless_told_otherwise(dchat: Dchat, server: FakeServer, exported: Path) -> None:
    assert dchat("import", "ndjson", str(exported), "--room", "new").code == 0
    assert texts(server, "new")[1] == "[2026-11-23 06:04:00Z] bob: second ＠ada"
    assert dchat("import", "ndjson", str(exported), "--room", "named", "--mentions").code == 0
    assert texts(server, "named")[1] == "[2026-11-23 06:04:00Z] bob: second @ada"


def test_a_message_that_is_refused_stops_the_import_in_words(dchat: Dchat, server: FakeServer, log: Path) -> None:
    server.max_line_bytes = 10
    ran = dchat("import", "irc", str(log), "--room", "lobby")
    assert (ran.code, "a message was refused" in ran.err) == (1, True)


def test_what_cannot_be_read_ends_with_1_and_what_is_missing_with_2(dchat: Dchat, home: Path, log: Path) -> None:
    assert dchat("import", "slack", str(log)).code == 1
    assert dchat("import", "ndjson", str(log)).code == 1
    assert dchat("import", "slack", str(home / "nope")).code == 2
    assert dchat("import", "irc", str(log)).code == 2
