"""Emoji to choose from: the short names of everyday ones first, then all others by their Unicode names. Pure."""

from __future__ import annotations

import unicodedata
from functools import cache

from dchat_client.emoji import SHORTCODES

MOST_USED = ("👍", "❤️", "😂", "🎉", "👀", "✅", "🙏", "🔥")
"""What a dialog for reactions offers first."""
_BLOCKS = ((0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1F9FF), (0x1FA70, 0x1FAFF))
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_KEYCAP = "\u20e3"


@cache
def _table() -> dict[str, str]:
    found = dict(SHORTCODES)
    for first, last in _BLOCKS:
        for code in range(first, last + 1):
            name = unicodedata.name(chr(code), "").lower().replace(" ", "_").replace("-", "_")
            if name and code not in _SKIN_TONES:
                found.setdefault(name, chr(code))
    return found


def named(prefix: str, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` (name, emoji) whose name begins with `prefix`, then those that have it in it."""
    prefix = prefix.lower()
    begin = [row for row in _table().items() if row[0].startswith(prefix)]
    inside = [row for row in _table().items() if prefix in row[0] and not row[0].startswith(prefix)]
    found: dict[str, str] = {}
    for name, emoji in begin + inside:
        if len(found) == limit:
            break
        found.setdefault(emoji, name)
    return [(name, emoji) for emoji, name in found.items()]


def name_of(emoji: str) -> str:
    """Return the first name of an emoji; "" when it has none here."""
    return next((name for name, each in _table().items() if each == emoji), "")


def is_reaction(text: str) -> bool:
    """Tell whether `text` may be an emoji to react with: no letters, digits or spaces, but for keycaps."""
    if not 0 < len(text) <= 16 or any(char.isspace() or char.isalpha() for char in text):
        return False
    return not text[0].isascii() or (text[0] in "0123456789#*" and _KEYCAP in text)
