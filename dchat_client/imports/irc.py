"""Logs of IRC, in the forms that irssi, WeeChat, ZNC, mIRC, HexChat and what resembles them write. Pure: fed lines.

    09:12 <@ada> hi                     irssi; the day stands in lines such as "--- Day changed Tue May 02 2023"
    2023-05-01 09:12:33	ada	hi          WeeChat, with tabs
    [09:12:33] <ada> hi                 ZNC; the day is the file's name
    [09:12] <ada> hi                    mIRC; the day stands in "Session Start: Mon May 01 09:00:00 2023"
    May 01 09:12:33 <ada>	hi          HexChat; the year stands in "**** BEGIN LOGGING AT Mon May  1 09:00:00 2023"

None of them tells its time zone, so times are shown as they stand there. What is no message (joins, modes, notices of
services) is left out; what is not understood at all is counted and can be asked for.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from dchat_client.imports.said import Said, digest_of, name_of

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STAMP = re.compile(
    r"\[?(?:(?P<date>\d{4}-\d\d-\d\d)[T ]|(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) )?"
    r"(?P<time>\d{1,2}:\d\d(?::\d\d)?)(?:\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?(?P<half> ?[AaPp][Mm])?\]?(?P<gap>[ \t]*)"
)
_DATES = (
    re.compile(r"\b(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2})(?: \d\d:\d\d:\d\d)?(?: [A-Z]{1,5})?,? (?P<year>\d{4})\b"),
    re.compile(r"\b(?P<day>\d{1,2})\.? (?P<month>[A-Z][a-z]{2})[a-z]* (?P<year>\d{4})\b"),
    re.compile(r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)\b"),
)
_FILE_DATE = re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)-?(?P<month>\d\d)-?(?P<day>\d\d)(?!\d)")
_DAY_LINE = re.compile(
    r"(?:-{2,3} |\*{4} |Session )?(?:Log (?:opened|closed)|Day changed|(?:BEGIN|ENDING) LOGGING|Start:|Time:|Close:|"
    r"(?<=--- )[A-Z][a-z]{2},? |(?<=--- )\d{4}-)"
)
# The sign before a name tells the role. In <> anything may stand that bridges make of people's names.
_TALK = re.compile(r"<[ ~&@%+!]*(?P<nick>[^<>\n]{1,64})>[ \t]?(?P<text>.*)", re.DOTALL)
_NICK = r"[~&@%+!]?(?P<nick>[^\s<>:*,!@-][^\s<>:*,!@]{0,63})"
_ACTION = re.compile(rf"\*[ \t]+{_NICK}[ \t]+(?P<text>.+)", re.DOTALL)
_COLUMN = re.compile(rf"<?{_NICK}>?")
# What clients and services say: "*** Joins: ada", "-!- mode/#c [+o ada]", "-NickServ- You are …".
_NOTE = re.compile(r"\*{2,}|-!-|-{2,}|-->|<--|=!=|==|-[^\s-]|!|Session ")
_DEED = re.compile(
    r"[(\[][^()\[\]\s]*@[^()\[\]\s]*[)\]]|(?:has (?:joined|left|quit|changed|set|kicked)|is now known as|sets? mode|"
    r"sets ban|was kicked by|changes topic to|(?:gives|removes) (?:voice|channel|halfop|admin|owner)|talking in)\b"
)
_NO_NICK = frozenset(
    ("Now", "Topic", "Set", "Disconnected", "Attempting", "Rejoined", "Retrieving", "Joins", "Parts", "Quits")
)
_FORMATTING = re.compile("\x03(?:\\d{1,2}(?:,\\d{1,2})?)?|\x04(?:[0-9A-Fa-f]{6})?|[\x00-\x08\x0b-\x1f\x7f]")
_MAX_REPEATS = 200_000

Line = tuple[str, str, bool]
"""Nick, text, whether it is an action; an empty text: it is no message."""
_NO_MESSAGE: Line = ("", "", False)


class IrcLog:
    """The state of reading one log: the day, and what is counted. `name` is the file's, which may tell the day.

    `left_out` counts lines that are no message, `unknown` holds the numbers of the first that were not understood.
    """

    def __init__(self, name: str = "", day: date | None = None) -> None:
        self.left_out = 0
        self.unknown: list[int] = []
        self._day = day or _day_of(_FILE_DATE, name)
        self._line = 0
        self._minutes = 0
        self._midnights = 0
        self._repeats: dict[bytes, int] = {}

    def feed(self, line: str) -> Said | None:
        """Return the message in a line of the log, None when there is none."""
        self._line += 1
        line = line.strip("\r\n")
        if not line.strip():
            return None
        stamp = _STAMP.match(line)
        rest = line[stamp.end() :] if stamp else line
        found = None if self._begins_day(rest) else _columns(rest) if stamp and stamp["gap"] == "\t" else _parsed(rest)
        if found is None or not found[1]:
            self.left_out += 1
            if found is None and not _NOTE.match(rest) and not _DAY_LINE.match(rest) and len(self.unknown) < 10:
                self.unknown.append(self._line)
            return None
        nick, text, is_action = found
        when = self._when(stamp)
        return Said(self._key(when, nick, text, is_action), nick, when, text, is_action=is_action)

    def _begins_day(self, rest: str) -> bool:
        if not _DAY_LINE.match(rest):
            return False
        for form in _DATES:
            if day := _day_of(form, rest):
                self._begin(day)
                return True
        return False

    def _begin(self, day: date | None) -> None:
        if day != self._day:
            self._repeats.clear()
        self._day, self._minutes = day, 0

    def _when(self, stamp: re.Match[str] | None) -> str:
        if stamp is None:
            return "" if self._day is None else self._day.isoformat()
        time = stamp["time"].zfill(5 if stamp["time"].count(":") == 1 else 8)
        minutes = int(time[:2]) * 60 + int(time[3:5])
        if half := (stamp["half"] or "").strip().lower():
            minutes = minutes % 720 + (720 if half == "pm" else 0)
            time = f"{minutes // 60:02}:{minutes % 60:02}{time[5:]}"
        if day := _iso(stamp["date"]) or self._in_year(stamp["month"], stamp["day"]):
            if day != self._day:
                self._begin(day)
        elif minutes + 720 < self._minutes:  # past midnight, and the log does not say so
            self._midnights += 1
            self._begin(None if self._day is None else self._day + timedelta(days=1))
        self._minutes = minutes
        day_told = "" if self._day is None else f"{self._day.isoformat()} "
        return f"{day_told}{time}{stamp['zone'] or ''}"

    def _in_year(self, month: str | None, day: str | None) -> date | None:
        if self._day is None or month not in _MONTHS or day is None:
            return None
        number = _MONTHS.index(month) + 1
        return _date(self._day.year + (number == 1 and self._day.month == 12), number, int(day))

    def _key(self, when: str, nick: str, text: str, is_action: bool) -> str:
        """Name a message by all that is known of it, and by how often the same was said at the same moment."""
        day = f"day {self._midnights} " if self._day is None else ""
        key = f"irc:{day}{when}:{nick}:{'*' if is_action else ''}:{text}"
        if len(self._repeats) >= _MAX_REPEATS:
            self._repeats.clear()
        digest = digest_of(key)
        count = self._repeats[digest] = self._repeats.get(digest, 0) + 1
        return f"{key}:{count}"


def _parsed(rest: str) -> Line | None:
    """Return what is said in a line behind its time; None when it is not understood."""
    rest = rest.lstrip(" ")
    if talk := _TALK.match(rest):
        return name_of(talk["nick"]), _bare(talk["text"]), False
    if action := _ACTION.match(rest):
        text = _bare(action["text"])
        if action["nick"] in _NO_NICK or _DEED.match(text):
            return _NO_MESSAGE
        return name_of(action["nick"]), text, True
    return _NO_MESSAGE if rest.startswith("* ") else None


def _columns(rest: str) -> Line | None:
    """`_parsed` for WeeChat: what stands before the text, a tab, the text."""
    prefix, tab, text = rest.partition("\t")
    prefix, text = prefix.strip(), _bare(text)
    if prefix == "*":
        nick, _, deed = text.partition(" ")
        return name_of(nick), deed, True
    talk = _COLUMN.fullmatch(prefix)
    return (name_of(talk["nick"]), text, False) if talk and tab else _parsed(rest)


def _bare(text: str) -> str:
    """`text` without colours and other formatting."""
    return _FORMATTING.sub("", text).rstrip()


def _day_of(form: re.Pattern[str], text: str) -> date | None:
    match = form.search(text)
    if match is None:
        return None
    month = match["month"]
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3]) + 1 if month[:3] in _MONTHS else 0
    return _date(int(match["year"]), number, int(match["day"]))


def _iso(text: str | None) -> date | None:
    return _day_of(_DATES[2], text) if text else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
