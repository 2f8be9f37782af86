"""Short texts people give themselves: display names, status lines, names of tokens."""

from __future__ import annotations

import unicodedata

from dchat_server.errors import ChatError


def check_line(name: str, text: str, max_chars: int) -> str:
    """`text` without space around it, as a single line that shows what it is.

    Raises ChatError invalid_request for control characters, line breaks, and marks that turn the writing
    direction of what follows.
    """
    text = unicodedata.normalize("NFC", text.strip())
    if len(text) > max_chars:
        raise ChatError("invalid_request", f"`{name}` may have at most {max_chars} characters.")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _TURNING for char in text):
        raise ChatError("invalid_request", f"`{name}` must be one line without control characters.")
    return text


_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
