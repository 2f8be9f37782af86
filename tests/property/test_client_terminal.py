"""Nothing that somebody writes can act on somebody else's terminal."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_client.cli.lines import Lines
from dchat_client.terminal import Style, clean, clean_lines, columns, fit, json_line, pad

BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROLS = ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x90q\x9c", "\r", "\x00", "\x7f", "\n", "\t"]
_HIDDEN = ["\u202e", "\u2066", "\u200f", "\u200b", "\ufeff", "\u2028", "\u200d", "\u200c", "\ufe0f", "\u3164"]
_SIGNS = ["\U000e0041", "\U0001f3f4", "\ud800", "a", "م", "क", "👩", "日", "e\u0301", " "]
_NASTY = st.sampled_from([*_CONTROLS, *_HIDDEN, *_SIGNS])
_TEXTS = st.one_of(st.lists(_NASTY, max_size=20).map("".join), st.text(st.characters(), max_size=40))


def is_harmless(text: str) -> bool:
    return not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in BIDI for char in text)


@settings(deadline=None)
@given(_TEXTS)
def test_clean_text_has_no_control_no_surrogate_no_line_end_and_no_bidi_control(text: str) -> None:
    assert is_harmless(clean(text))
    clean(text).encode("utf-8")


@settings(deadline=None)
@given(_TEXTS)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@settings(deadline=None)
@given(_TEXTS)
def test_lines_are_clean_and_their_number_is_the_writers(text: str) -> None:
    lines = clean_lines(text)
    assert all(is_harmless(line) for line in lines)
    assert len(lines) == text.count("\n") + 1


@settings(deadline=None)
@given(_TEXTS)
def test_json_is_exact_for_a_program_and_harmless_for_a_terminal(text: str) -> None:
    line = json_line({"text": text, text: 1})
    assert json.loads(line) == {"text": text, text: 1}
    assert is_harmless(line)
    line.encode("utf-8")


@settings(deadline=None)
@given(_TEXTS, st.integers(0, 30))
def test_fitted_text_takes_no_more_columns_than_it_may(text: str, width: int) -> None:
    assert columns(fit(clean(text), width)) <= width
    assert columns(pad(clean(text), width)) >= width


_VALUES = st.one_of(_TEXTS, st.integers(), st.none(), st.booleans(), st.lists(_TEXTS, max_size=2))
_FIELDS = ["room", "seq", "ts", "sender", "text", "target", "emoji", "action", "user", "role", "topic", "reply_to"]
_TYPES = st.sampled_from(["message", "edit", "delete", "reaction", "member", "room", "unknown"])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*_FIELDS, "reactions", "deleted", "edited_at"]), _VALUES), _TYPES)
def test_no_field_of_an_event_reaches_the_terminal_unclean(event: dict[str, Any], kind: str) -> None:
    for line in Lines(Style(False), show_room=True, show_seq=True).of({**event, "type": kind}):
        assert is_harmless(line)


@settings(deadline=None)
@given(_TEXTS, _TEXTS)
def test_no_message_can_look_like_two(sender: str, text: str) -> None:
    event = {"ts": "2026-01-01T00:00:00.000Z", "sender": sender, "text": text}
    first, *rest = Lines(Style(False)).of(event)
    assert first.startswith("20")
    assert all(line.startswith("    │ ") for line in rest)
