"""Other people's text, made safe to print; widths in columns; colours. Pure.

What somebody writes into a chat must not move the cursor, change the title, hide itself, pretend to be
another line or run backwards over its neighbours in somebody else's terminal. Everything that could is
replaced by something visible: controls by their Unicode pictures (ESC becomes ␛), the rest by its number
(⟨U+202E⟩). What is lost is only the effect. Programs that need the exact text read --json, where the same
characters stand as JSON escapes.

Joiners are trickery inside a Latin name and spelling in Persian, Devanagari and emoji families, so they
stay where the neighbours call for them. Left-to-right marks and the other bidi controls do not stay
anywhere: without them a line with right-to-left text may look less neat, with them it can be made to lie.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ZWNJ, _ZWJ = "\u200c", "\u200d"
_BLACK_FLAG, _TAG_END = "\U0001f3f4", "\U000e007f"

# Format characters (Cf) that are seen: signs that stand before or around numbers.
_VISIBLE_FORMAT = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Letters and signs that look like nothing at all.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
# Scripts that spell with joiners, by the first word of their letters' names.
_JOINING_SCRIPTS = frozenset(
    (
        *("ARABIC", "SYRIAC", "MONGOLIAN", "NKO", "MANDAIC", "MANICHAEAN", "THAANA"),
        *("DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA"),
        *("MALAYALAM", "SINHALA", "TIBETAN", "MYANMAR", "KHMER", "BALINESE", "JAVANESE", "SUNDANESE", "TAI"),
    )
)

_FLAG_TAGS = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
# What `str.isprintable` lets pass although it hides: blanks that are letters, and variation selectors.
_HIDING = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# For --json: what JSON may carry as it is but a terminal had better not see.
_JSON_ESCAPED = re.compile(
    "[\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def clean(text: str) -> str:
    """Return `text` on one line with everything that acts on a terminal made visible. Tabs become a space."""
    # Everything else that acts on a terminal is not printable in Python's eyes; most texts are done here.
    if text.isprintable() and not _HIDING.search(text):
        return text
    return "".join(_shown(text, index) for index in range(len(text)))


def clean_lines(text: str) -> list[str]:
    """Return the lines of `text`, each made safe. Only "\\n" and "\\r\\n" end a line."""
    return [clean(line) for line in text.replace("\r\n", "\n").split("\n")]


def json_line(value: Any) -> str:
    """Return `value` as JSON on one line: exact for a program, harmless for a terminal, valid as UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _JSON_ESCAPED.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return "\\u007f" if match[0] == "\x7f" else json.dumps(match[0])[1:-1]


def _shown(text: str, index: int) -> str:
    char = text[index]
    code = ord(char)
    if char == "\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    kind = unicodedata.category(char)
    if kind in ("Cc", "Cs", "Zl", "Zp") or char in _BLANK:
        return _number(code)
    if kind == "Cf" and char not in _VISIBLE_FORMAT and not _belongs(text, index):
        return _number(code)
    if _is_variation_selector(code) and (index == 0 or not _takes_variation(text[index - 1])):
        return _number(code)
    return char


def _belongs(text: str, index: int) -> bool:
    """Tell whether an invisible character at `index` does what its script or an emoji needs it for."""
    char = text[index]
    if index == 0:
        return False
    if char in (_ZWNJ, _ZWJ):
        if index + 1 == len(text):
            return False
        before, after = text[index - 1], text[index + 1]
        if char == _ZWJ and _is_pictograph(after):
            return _is_pictograph(before) or ord(before) == 0xFE0F
        return _joins(before) and _joins(after)
    if "\U000e0020" <= char <= _TAG_END:
        # A flag of a region: black flag, tag letters, end. Tags anywhere else are hidden text.
        # The longest flag in use has five letters; more would be a message in hiding.
        start = text.rfind(_BLACK_FLAG, max(0, index - 7), index)
        flag = _FLAG_TAGS.match(text, start + 1, index + 7) if start >= 0 else None
        return flag is not None and index < flag.end()
    return False


def _joins(char: str) -> bool:
    name = unicodedata.name(char, "")
    return name.partition(" ")[0] in _JOINING_SCRIPTS


def _is_pictograph(char: str) -> bool:
    return unicodedata.category(char) in ("So", "Sk") and ord(char) > 0x2000


def _is_variation_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


def _takes_variation(char: str) -> bool:
    """Selectors choose a form of the one sign before them;

    a row of them, or one on a space, hides something.
    """
    code = ord(char)
    return not char.isspace() and not _is_variation_selector(code) and unicodedata.category(char) not in ("Cf", "Cc")


def _number(code: int) -> str:
    return f"⟨U+{code:04X}⟩"


# Columns


def columns(text: str) -> int:
    """Return how many terminal columns cleaned `text` takes;

    an estimate where terminals differ among themselves.
    """
    if text.isascii():
        return len(text)
    return sum(_width(text, index) for index in range(len(text)))


def fit(text: str, width: int) -> str:
    """Return `text` cut to `width` columns, with … where something was cut, and never in the middle of a
    sign.
    """
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for index, char in enumerate(text):
        used += _width(text, index)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if width > 0 else ""


def pad(text: str, width: int) -> str:
    """Return `text` filled with spaces to `width` columns."""
    return text + " " * max(0, width - columns(text))


def _width(text: str, index: int) -> int:
    char = text[index]
    code = ord(char)
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        # VS16 asks for the emoji form, which is wide also where the plain sign is not.
        widens = code == 0xFE0F and index > 0 and unicodedata.east_asian_width(text[index - 1]) not in "WF"
        return int(widens)
    if index > 0 and text[index - 1] == _ZWJ and _is_pictograph(char):
        return 0
    if 0x1F3FB <= code <= 0x1F3FF and index > 0 and _is_pictograph(text[index - 1]):
        return 0
    if 0x1F1E6 <= code <= 0x1F1FF:
        return 1  # regional indicators: two make a flag of two columns
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


# Colours

_NAME_COLOURS = (31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96)


@dataclass(frozen=True, slots=True)
class Style:
    """Colours, or none. Only cleaned text may go in."""

    colours: bool

    @classmethod
    def for_output(cls, *, is_terminal: bool, environ: Mapping[str, str]) -> Style:
        """Return the style for an output:

        no colours off a terminal, with NO_COLOR (https://no-color.org), or a dumb one.
        """
        return cls(is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")

    def name(self, text: str) -> str:
        """A person's name in a colour of its own, the same every time."""
        number = sum((index + 1) * ord(char) for index, char in enumerate(text))
        return self._paint(text, str(_NAME_COLOURS[number % len(_NAME_COLOURS)]))

    def dim(self, text: str) -> str:
        """Something beside the point: times, margins."""
        return self._paint(text, "2")

    def good(self, text: str) -> str:
        """Something that works."""
        return self._paint(text, "32")

    def bad(self, text: str) -> str:
        """Something that does not."""
        return self._paint(text, "31")

    def strong(self, text: str) -> str:
        """A heading."""
        return self._paint(text, "1")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours and text else text
