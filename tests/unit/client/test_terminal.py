"""Cleaned text, columns and colours, by example."""

from __future__ import annotations

import time

import pytest

from dchat_client.terminal import Style, _shown, clean, clean_lines, columns, fit, json_line, pad


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text ~", "plain text ~"),
        ("\x1b[31mred", "␛[31mred"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\x00b\x7f", "a␀b␡"),
        ("a\tb", "a b"),
        ("a\rb\nc", "a␍b␊c"),
        ("\x9b31m", "⟨U+009B⟩31m"),
        ("\u202eabc\u2066", "⟨U+202E⟩abc⟨U+2066⟩"),
        ("a\u200fb", "a⟨U+200F⟩b"),
        ("pay\u200bpal", "pay⟨U+200B⟩pal"),
        ("pay\u200dpal", "pay⟨U+200D⟩pal"),
        ("\ufeffx", "⟨U+FEFF⟩x"),
        ("a\u2028b", "a⟨U+2028⟩b"),
        ("a\u00adb", "a⟨U+00AD⟩b"),
        ("\u3164", "⟨U+3164⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("x\U000e0041", "x⟨U+E0041⟩"),
        ("a\ufe0f\ufe0f", "a\ufe0f⟨U+FE0F⟩"),
        ("👩\u200d", "👩⟨U+200D⟩"),
        ("\U0001f3f4\U000e0068\U000e0069", "\U0001f3f4⟨U+E0068⟩⟨U+E0069⟩"),
        ("\U0001f3f4\U000e0064\U000e0065\U000e007f\U000e0068", "\U0001f3f4\U000e0064\U000e0065\U000e007f⟨U+E0068⟩"),
    ],
)
def test_what_acts_or_hides_is_made_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "日本語 テキスト 한국어",
        "שלום עולם مرحبا",
        "می\u200cخواهم",
        "क्\u200dष",
        "👨\u200d👩\u200d👧 👍🏽 ❤\ufe0f 🇩🇪 1\ufe0f⃣",
        "🏳\ufe0f\u200d🌈",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "e\u0301 ñ ß",
        "⠓⠀⠕",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_only_line_feeds_make_lines() -> None:
    assert clean_lines("a\nb\r\nc\rd\u2028e\x0bf") == ["a", "b", "c␍d⟨U+2028⟩e␋f"]


def test_json_escapes_what_a_terminal_had_better_not_see() -> None:
    assert json_line({"a": "\x1b\x7f\x9b\u202e\u200d日👍"}) == '{"a":"\\u001b\\u007f\\u009b\\u202e\\u200d日👍"}'


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("日本", 4),
        ("e\u0301", 1),
        ("👍🏽", 2),
        ("👨\u200d👩\u200d👧", 2),
        ("🇩🇪", 2),
        ("❤\ufe0f", 2),
        ("", 0),
    ],
)
def test_columns_are_counted_as_a_terminal_does(text: str, width: int) -> None:
    assert columns(text) == width
    assert pad(text, 6) == text + " " * (6 - width)


def test_what_does_not_fit_is_cut_with_a_mark() -> None:
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdef", 4) == "abc…"
    assert fit("日本語", 4) == "日…"
    assert fit("日本語", 0) == ""


@pytest.mark.parametrize(
    ("is_terminal", "environ", "colours"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(is_terminal: bool, environ: dict[str, str], colours: bool) -> None:
    style = Style.for_output(is_terminal=is_terminal, environ=environ)
    assert style.colours is colours
    assert ("\x1b" in style.name("ada")) is colours


def test_a_name_has_the_same_colour_every_time() -> None:
    assert Style(True).name("ada") == Style(True).name("ada") != Style(True).name("adb")


def test_cleaning_takes_time_in_proportion() -> None:
    hostile = "\U0001f3f4" + "\U000e0061" * 20_000
    began = time.process_time()
    clean(hostile)
    assert time.process_time() - began < 5  # squares would take minutes


def test_the_short_way_through_cleaning_lets_nothing_pass_that_the_long_one_shows() -> None:
    """Text that Python calls printable is not looked at sign by sign; all of Unicode but the unassigned rest."""
    hiding = [chr(code) for code in range(0x30000) if _shown(f"a{chr(code)}b", 1) != chr(code)]
    assert len(hiding) > 2000
    for char in (*hiding, "\U000e0100", "\U000e0041"):
        assert char not in clean(f"a {char}b"), hex(ord(char))
