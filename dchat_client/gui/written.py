"""What was sent from the input, to be had again with the arrow keys. Pure."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 200


class Written:
    """Texts in the order of their sending; walking through them leaves what is being written for the way back."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = list(texts)[-MOST:]
        self._at: int | None = None
        self._own = ""

    def add(self, text: str) -> None:
        """Remember a text that was sent; the same one twice in a row counts once."""
        if text and self._texts[-1:] != [text]:
            self._texts.append(text)
            del self._texts[:-MOST]
        self._at = None

    def earlier(self, shown: str) -> str | None:
        """Return the text before the one that is `shown`; None when there is none."""
        if self._at is None:
            if not self._texts:
                return None
            self._own, self._at = shown, len(self._texts)
        if self._at == 0:
            return None
        self._at -= 1
        return self._texts[self._at]

    def later(self) -> str | None:
        """Return the text after it, at last what was being written; None when nothing was walked through."""
        if self._at is None:
            return None
        self._at += 1
        if self._at >= len(self._texts):
            self._at = None
            return self._own
        return self._texts[self._at]

    @property
    def is_walking(self) -> bool:
        """An earlier text is shown."""
        return self._at is not None
