"""Text as this Tk can draw it: which runs are pictures, and what falls apart is drawn simpler. Pure but for `Xft`.

Tk 8.6 on X11 draws one code point after the other: what a font would join into one picture comes out in pieces, brown
squares for skin tones, empty boxes for keycaps. The simpler picture is drawn instead. And its Xft library draws colour
pictures only since 2.3.5; an older one brings the whole program down with the first of them, so there they are told in
words. Elsewhere the system's own text engine does all this right. What is copied out of a message is its own text.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import islice

from dchat_client.gui.bidi import turned_line

_PICTURE = "[\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_SINGLE = (
    "[\U0001f000-\U0001f1e5\U0001f200-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7ff\U0001f90c-\U0001faff"
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be"
    "\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757"
    "\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55]"
)
"""What is a picture by itself (Unicode's Emoji_Presentation); others are one when U+FE0F follows."""
_PICTURES = re.compile(f"(?:(?:{_SINGLE}|{_PICTURE}\ufe0f)[\ufe0f\u200d\U0001f3fb-\U0001f3ff]*)+")
_JOINING = re.compile("[\u200d\u20e3\ufe0e\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_MODIFIERS = re.compile(f"(?<={_PICTURE})[\U0001f3fb-\U0001f3ff]|[\ufe0e\ufe0f\u20e3]|[\U000e0020-\U000e007f]+")
_FAMILY = re.compile(f"(?<={_PICTURE})\u200d(?={_PICTURE})")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_FIRST_SAFE_XFT = 20305

Drawn = Callable[[str], str]
"""Cleaned text → what to give to Tk."""


def runs(text: str, most: int = 200) -> Iterator[tuple[str, bool]]:
    """Yield `text` in pieces, True with those that are pictures and want a font of pictures; after `most` of them
    the rest as one piece, as if there were none.
    """
    if text.isascii():
        yield text, False
        return
    at = 0
    for found in islice(_PICTURES.finditer(text), most):
        if found.start() > at:
            yield text[at : found.start()], False
        yield found[0], True
        at = found.end()
    if at < len(text):
        yield text[at:], False


def is_pictures(text: str, *, most: int = 6) -> bool:
    """Tell whether a text is nothing but a few pictures."""
    short = text.replace(" ", "")
    return 0 < len(short) <= most * 4 and _PICTURES.fullmatch(short) is not None


def simplified(text: str) -> str:
    """Return cleaned `text` with one picture a code point, flags as their letters."""
    if text.isascii() or not _JOINING.search(text):
        return text
    text = _FAMILY.sub("", _MODIFIERS.sub("", text))
    return _FLAG.sub(lambda found: "".join(chr(ord(letter) - 0x1F1E6 + ord("A")) for letter in found[0]), text)


def told(text: str) -> str:
    """Return cleaned `text` with each picture as its name: 🎉 is :party popper:."""
    if text.isascii():
        return text
    return _PICTURES.sub(lambda found: "".join(_name(char) for char in simplified(found[0])), simplified(text))


def drawn_by(windowing: str, xft: Callable[[], int] | None = None) -> Drawn:
    """Return how text is to be given to the Tk of that windowing system ("x11", "aqua", "win32")."""
    if windowing != "x11":
        return str
    return simplified if (xft or xft_version)() >= _FIRST_SAFE_XFT else told


def labelled_by(windowing: str) -> Drawn:
    """The same for a text on a line of its own, which is turned as well where Tk does not turn it."""
    drawn = drawn_by(windowing)
    return drawn if windowing != "x11" else lambda text: turned_line(drawn(text))


def xft_version() -> int:
    """Return the version of the X font library, 2.3.6 as 20306; 0 when it does not say."""
    try:
        found = ctypes.util.find_library("Xft")
        return int(ctypes.CDLL(found).XftGetVersion()) if found else 0
    except (OSError, AttributeError):
        return 0


def _name(char: str) -> str:
    return f":{unicodedata.name(char, f'U+{ord(char):04X}').lower()}:"
