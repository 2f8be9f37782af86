"""What comes out of other chats' files, whatever is in them."""

from __future__ import annotations

import html
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_client.exported import ExportFile
from dchat_client.imports.irc import IrcLog
from dchat_client.imports.said import Said, rendered
from dchat_client.imports.slack import _elements
from dchat_client.imports.slack_text import plain
from dchat_server.model import mentions_in

NICKS = st.from_regex(r"[a-zA-Z\[\]\\`_^{|}][a-zA-Z0-9\[\]\\`_^{|}-]{0,15}", fullmatch=True)
LINES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=80).filter(
    lambda text: text == text.strip()
)
TIMES = st.times().map(lambda time: time.strftime("%H:%M:%S"))
DATES = st.dates().filter(lambda day: day.year >= 1000)
FORMS = {
    "irssi": "{time} < {nick}> {text}",
    "irssi, operator": "{time} <@{nick}> {text}",
    "weechat": "{date} {time}\t{nick}\t{text}",
    "znc": "[{time}] <{nick}> {text}",
    "iso": "[{date} {time}] <{nick}> {text}",
    "hexchat": "May 01 {time} <{nick}>\t{text}",
}
# Pieces of which logs are made, in any order.
# fmt: off
BITS = st.sampled_from([
    "[12:34] ", "12:34 ", "99:99", "2023-05-01", "May 31", "--- ", "Day changed", " ", "\t", "<", ">", "*", "-!-", "@",
    "ada", "Session Start: ", "Mon Feb 31 09:00:00 2023", "-->", "\x03", "\x0304,01", "\x02", "\u2028", "日", ":", "AM",
    "0000-00-00",
])
# fmt: on
FEW = settings(max_examples=50, deadline=None)  # of each property; there are many, and they are checked at each change


@FEW
@given(form=st.sampled_from(sorted(FORMS)), nick=NICKS, text=LINES, time=TIMES, day=DATES)
def test_what_an_irc_client_wrote_is_read_back(form: str, nick: str, text: str, time: str, day: Any) -> None:
    line = FORMS[form].format(nick=nick, text=text, time=time, date=day.isoformat())
    said = IrcLog().feed(line + "\n")
    assert said is not None, line
    assert (said.who, said.text, said.is_action, time in said.when) == (nick, text, False, True)


@FEW
@given(st.lists(st.one_of(st.lists(BITS).map("".join), st.text()), max_size=30), st.integers(0, 30))
def test_no_log_breaks_the_reader_and_a_longer_one_has_the_keys_of_the_shorter(lines: list[str], cut: int) -> None:
    keys = []
    for part in (lines, lines[:cut]):
        log = IrcLog("2023-05-01.log")
        said = [each for line in part if (each := log.feed(line)) is not None]
        for each in said:
            assert each.who
            assert each.text
            assert not any(char in each.who for char in "\r\n\x00\x1b")
        keys.append([each.key for each in said])
    assert len(set(keys[0])) == len(keys[0])
    assert keys[0][: len(keys[1])] == keys[1]


@FEW
@given(st.text(st.characters(exclude_characters=":")))
def test_what_slack_escaped_is_what_was_typed(text: str) -> None:
    assert plain(html.escape(text, quote=False), {}, {}) == text


@FEW
@given(
    st.lists(
        st.sampled_from(["<", ">", "@U1", "#C1", "|", "!", "here", "&lt;", "&amp;", "`", "```", ":tada:", "\n", "x"])
    )
)
def test_no_markup_breaks_the_reader(bits: list[str]) -> None:
    plain("".join(bits), {"U1": "ada"}, {"C1": "general"})


@FEW
@given(
    st.text(),
    st.text(),
    st.text(),
    st.booleans(),
    st.lists(st.text(), max_size=2),
    st.lists(st.tuples(st.text(), st.lists(st.text(), max_size=2).map(tuple)), max_size=2),
)
def test_nothing_that_is_brought_in_calls_anybody_or_is_empty_or_unsendable(
    who: str, when: str, text: str, is_action: bool, files: list[str], reactions: list[tuple[str, tuple[str, ...]]]
) -> None:
    said = Said("k", who, when, f"@ada {text} @bob", None, is_action, True, tuple(reactions), tuple(files))
    found = rendered(said)
    assert mentions_in(found) == ()
    assert found.encode()


JSON = st.none() | st.integers() | st.text() | st.lists(st.integers() | st.text(), max_size=3)


@FEW
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4) | JSON), st.sampled_from([None, 1]))
def test_a_list_read_one_by_one_is_the_list(rows: list[Any], indent: int | None) -> None:
    raw = json.dumps(rows, indent=indent).encode("utf-8", "surrogatepass")
    assert list(_elements(raw, "x")) == [row for row in rows if isinstance(row, dict)]


@FEW
@given(st.lists(st.text(max_size=20), max_size=8), st.data())
def test_an_export_that_was_cut_anywhere_is_completed_to_the_same_bytes(texts: list[str], data: Any) -> None:
    room = {"room": "lobby", "kind": "public", "created_at": "2026-01-01T00:00:00.000Z"}
    messages = [{"seq": 2 * number, "text": text} for number, text in enumerate(texts, 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        cut: int | None = None
        whole = b""
        for _ in range(2):
            with ExportFile(path, room) as file:
                file.write([message for message in messages if message["seq"] > file.after])
                file.finish(2 * len(texts))
            if cut is None:
                whole = path.read_bytes()
                cut = data.draw(st.integers(0, len(whole)))
                path.write_bytes(whole[:cut])
        assert path.read_bytes() == whole
