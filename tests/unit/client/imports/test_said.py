"""The text a message from elsewhere becomes."""

from __future__ import annotations

import pytest

from dchat_client.imports.said import Said, client_id, name_of, rendered

PLAIN = Said("k", "ada", "2024-05-01 09:12:33Z", "See the report")


def test_who_and_when_stand_in_front_and_what_became_of_it_behind() -> None:
    assert rendered(PLAIN) == "[2024-05-01 09:12:33Z] ada: See the report"
    assert rendered(Said("k", "ada", "", "waves", is_action=True)) == "* ada waves"
    full = Said(
        "k",
        "ada",
        "09:12",
        "a\nb",
        is_edited=True,
        files=("r.pdf, 12 KB",),
        reactions=(("🎉", ("bob", "eve")), ("x", ())),
    )
    assert rendered(full) == "[09:12] ada: a\nb\n(edited) (file: r.pdf, 12 KB) (🎉 bob, eve) (x)"
    assert rendered(Said("k", "ada", "09:12", "", files=("r.pdf",))) == "[09:12] ada: (file: r.pdf)"


@pytest.mark.parametrize(
    ("text", "quiet"),
    [
        ("@bob hi", "＠bob hi"),
        ("(@bob) x@bob ada@example.org @Bob @@bob", "(＠bob) x@bob ada@example.org @Bob @@bob"),
    ],
)
def test_nobody_is_called_by_what_was_said_long_ago(text: str, quiet: str) -> None:
    assert rendered(Said("k", "ada", "", text)) == f"ada: {quiet}"
    assert rendered(Said("k", "ada", "", text), mentions=True) == f"ada: {text}"


def test_a_name_cannot_pose_as_a_line_of_somebody_else() -> None:
    assert name_of("eve\n[2024-05-01 09:12:33Z] ada: \x1b[2J\u202e") == "eve [2024-05-01 09:12:33Z] ada: [2J"
    assert name_of("\x00\u200b \u2028") == "?"
    assert len(name_of("x" * 1000)) == 80


def test_half_characters_do_not_keep_a_message_from_being_sent() -> None:
    assert rendered(Said("k", "a\ud83d", "", "x\ud83dy")) == "a: x\ufffdy"


def test_keys_are_the_servers_kind_and_differ_by_part() -> None:
    key = client_id(PLAIN.digest, 1, 1)
    assert key == client_id(Said("k", "x", "", "y").digest, 1, 1)
    assert len({key, client_id(PLAIN.digest, 1, 2), client_id(PLAIN.digest, 2, 2)}) == 3
    assert len(client_id(PLAIN.digest, 1000, 1000)) <= 64
