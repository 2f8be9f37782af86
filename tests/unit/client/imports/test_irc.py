"""Logs of IRC in the forms that are around."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from dchat_client.imports.irc import IrcLog
from dchat_client.imports.irc_files import IrcFiles

IRSSI = """\
--- Log opened Mon May 01 23:50:00 2023
23:50 -!- ada [~a@host] has joined #chan
23:51 < ada> hi
23:52 <@bob> ada: hello <there>
23:53  * ada waves
23:53 -!- Topic set by bob [b@host] [Mon Apr 03 10:00:00 2017]
--- Day changed Tue May 02 2023
00:01 <+eve> late
00:02 -ChanServ(s@services)- be nice
--- Log closed Tue May 02 00:03:00 2023
"""
WEECHAT = """\
2023-05-01 09:12:30\t-->\tada (a@host) has joined #chan
2023-05-01 09:12:33\tada\thi
2023-05-01 09:12:34\t@bob\thello\tthere
2023-05-01 09:12:35\t *\tada waves at bob
2023-05-01 09:12:36\t--\tMode #chan [+o ada] by bob
2023-05-01 09:12:37\t<--\tbob (b@host) has quit
"""
ZNC = """\
[09:12:30] *** Joins: ada (~a@host)
[09:12:33] <ada> hi
[09:12:34] * ada waves
[09:12:35] -NickServ- You are now identified
[09:12:36] *** ada sets mode: +o bob
"""
MIRC = """\

Session Start: Mon May 01 23:59:00 2023
Session Ident: #chan
[23:59] * Now talking in #chan
[23:59] * ada (~a@host) has joined #chan
[23:59] <ada> \x02bold\x02 \x0304,01red\x03 plain
[23:59] * ada waves
[23:59] * ada sets mode: +o bob
[00:01] <@bob> after midnight
Session Close: Tue May 02 00:02:00 2023
"""
HEXCHAT = """\
**** BEGIN LOGGING AT Sun Dec 31 09:00:00 2023

Dec 31 09:12:30 *\tNow talking on #chan
Dec 31 09:12:31 *\tada (~a@host) has joined
Dec 31 09:12:33 <ada>\thi
Dec 31 09:12:34 *\tada waves
Jan 01 00:00:01 <ada>\thappy new year
**** ENDING LOGGING AT Mon Jan  1 00:00:05 2024
"""
TWELVE = """\
[2023-05-01 1:05:06 PM] <ada> afternoon
2023-05-01T09:12:33+0200 <ada> zone
[12:05 AM] <ada> midnight
"""


def read(text: str, name: str = "", day: date | None = None) -> tuple[list[str], IrcLog]:
    log = IrcLog(name, day)
    found = [said for line in text.splitlines(keepends=True) if (said := log.feed(line))]
    shown = [f"{said.when} {'* ' if said.is_action else ''}{said.who}|{said.text}" for said in found]
    assert len({said.key for said in found}) == len(found)
    return shown, log


@pytest.mark.parametrize(
    ("text", "name", "said", "left_out"),
    [
        (
            IRSSI,
            "#chan.log",
            [
                "2023-05-01 23:51 ada|hi",
                "2023-05-01 23:52 bob|ada: hello <there>",
                "2023-05-01 23:53 * ada|waves",
                "2023-05-02 00:01 eve|late",
            ],
            6,
        ),
        (
            WEECHAT,
            "irc.libera.#chan.weechatlog",
            [
                "2023-05-01 09:12:33 ada|hi",
                "2023-05-01 09:12:34 bob|hello\tthere",
                "2023-05-01 09:12:35 * ada|waves at bob",
            ],
            3,
        ),
        (ZNC, "2023-05-01.log", ["2023-05-01 09:12:33 ada|hi", "2023-05-01 09:12:34 * ada|waves"], 3),
        (ZNC, "#chan_20230501.log", ["2023-05-01 09:12:33 ada|hi", "2023-05-01 09:12:34 * ada|waves"], 3),
        (ZNC, "log", ["09:12:33 ada|hi", "09:12:34 * ada|waves"], 3),
        (
            MIRC,
            "#chan.log",
            [
                "2023-05-01 23:59 ada|bold red plain",
                "2023-05-01 23:59 * ada|waves",
                "2023-05-02 00:01 bob|after midnight",
            ],
            6,
        ),
        (
            HEXCHAT,
            "chan.log",
            ["2023-12-31 09:12:33 ada|hi", "2023-12-31 09:12:34 * ada|waves", "2024-01-01 00:00:01 ada|happy new year"],
            4,
        ),
        (
            TWELVE,
            "",
            ["2023-05-01 13:05:06 ada|afternoon", "2023-05-01 09:12:33+0200 ada|zone", "2023-05-01 00:05 ada|midnight"],
            0,
        ),
    ],
)
def test_messages_and_actions_are_taken_and_the_rest_is_left_out(
    text: str, name: str, said: list[str], left_out: int
) -> None:
    shown, log = read(text, name)
    assert shown == said
    assert (log.left_out, log.unknown) == (left_out, [])


def test_a_day_that_is_given_counts_where_nothing_else_tells() -> None:
    assert read(ZNC, "log", date(2020, 2, 28))[0][0] == "2020-02-28 09:12:33 ada|hi"
    over = read("[23:59] <a> x\n[00:01] <a> y\n", "", date(2020, 2, 28))[0]
    assert over == ["2020-02-28 23:59 a|x", "2020-02-29 00:01 a|y"]


def test_lines_that_mean_nothing_are_counted_and_named() -> None:
    shown, log = read("[09:12] <ada> hi\nlorem ipsum\n[09:13] dolor\n99/99 sit\n", "")
    assert (len(shown), log.left_out, log.unknown) == (1, 3, [2, 3, 4])


def test_the_same_said_again_is_another_message_and_the_same_log_has_the_same_keys() -> None:
    text = "[09:12] <ada> ok\n[09:12] <ada> ok\n[09:13] <ada> ok\n[09:12] <ada> ok\n[23:00] <a> x\n[09:12] <ada> ok\n"
    keys = [[said.key for line in text.splitlines() if (said := log.feed(line))] for log in (IrcLog(), IrcLog())]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 6


def test_a_log_that_grew_has_the_keys_it_had() -> None:
    before, after = IrcLog("2023-05-01.log"), IrcLog("2023-05-01.log")
    kept = [said.key for line in ZNC.splitlines() if (said := before.feed(line))]
    grown = [said.key for line in (ZNC + "[09:13:00] <bob> more\n").splitlines() if (said := after.feed(line))]
    assert grown[:-1] == kept


def test_files_are_read_in_the_order_given_whatever_their_encoding(tmp_path: Path) -> None:
    first, second = tmp_path / "2023-05-01.log", tmp_path / "2023-05-02.log"
    first.write_bytes(
        "[09:12] <ada> für\n".encode() + "[09:13] <bob> für – dich\r\n".encode("cp1252") + b"[9:14] <x> \x81\n"
    )
    second.write_bytes(b"[09:12] <ada> " + b"y" * 200_000 + b"\n[09:13] <ada> end")
    source = IrcFiles([first, second])
    said = list(source)
    assert [(each.when, each.text) for each in said[:3]] == [
        ("2023-05-01 09:12", "für"),
        ("2023-05-01 09:13", "für – dich"),
        ("2023-05-01 09:14", "\ufffd"),
    ]
    assert (len(said[3].text) < 70_000, said[-1].text, said[-1].when) == (True, "end", "2023-05-02 09:13")
    assert source.done == source.total == first.stat().st_size + second.stat().st_size
    assert source.remarks() == ["Not understood: 2023-05-02.log line 2, 2023-05-02.log line 3, 2023-05-02.log line 4."]
