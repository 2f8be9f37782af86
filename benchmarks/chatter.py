"""What people write, made up: for figures that hang on how well text packs. The same words every time.

Words are drawn by how common they are and nothing else, so these texts pack no better than what people write: in pieces
of 12 KB they take 3.2 to 3.6 bits a letter, where READMEs and FAQs in English take 3.0 to 3.4.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import NamedTuple

_COMMON = """
the to a i and it of is in that you for on have be not this but with are so was if just can at like what as my do we
they or no me all get there think would one out when your about it's don't good up from know how now time then has
i'm ok see yes some will by more that's make he an had which should did could work them really also only need want
than new use any why lol thanks going who still because even right way here back well too something people our got
after into first other much does been day said let try thing sure things these yeah maybe over same two go tomorrow
where those look today before problem next again better point help being very off were done last great working
morning lot always never made might long around nice both week most find code while down keep says every part pretty
meeting another few anyone since idea actually wait already called bit without probably server start side end test
old read place run put through guess thought found seems bad change must big real issue hope different number
question check call used until line file fine looks love little years send between hard under sorry second wrong
name left later feel each haha though yet during office friday night mean can't won't doesn't wasn't didn't isn't
let's he's she's she her his him us anything everything nothing someone version build branch release fix bug error
log page user data link update report team customer plan draft review budget lunch coffee train home kids weekend
weather game music
"""
_SYLLABLES = """
ba co di fe ga hu ja ke li mo nu pa qui ra se ti vo wa xe yo za bre cli dro fla gri sto spa tre ent ing tion
ate ous ment able ness ly er al ic um
"""
_RARE = 4000
_ENDS = ("", "", "", "", "", "", "?", "!", ".", ".", "...", " :)", " 👍", " 😀")


class Kind(NamedTuple):
    """A kind of text, by the name it has in the tables; `id_bytes` how many random bytes a `client_id` has."""

    name: str
    texts: str
    id_bytes: int = 0


LINES = Kind("chat lines", "lines")
LINES_WITH_IDS = Kind("chat lines with client_ids of 12 bytes", "lines", 12)
LINES_WITH_UUIDS = Kind("chat lines with UUIDs", "lines", 16)
WORDS = Kind("200 letters of words", "words")
WORDS_WITH_IDS = Kind("200 letters of words with client_ids of 12 bytes", "words", 12)
RANDOM = Kind("200 random hex digits", "random")
KINDS = (LINES, LINES_WITH_IDS, LINES_WITH_UUIDS, WORDS, WORDS_WITH_IDS, RANDOM)
"""Twelve bytes in hex is what D-Chat's own clients send."""

PEOPLE = ("ada", "bao.k", "chiara", "dilnoza92", "eitan-m")


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """Words by how common they are, and the sums of their weights."""
    chance = random.Random(5)
    syllables = _SYLLABLES.split()
    rare = ("".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(_RARE))
    words = [*_COMMON.split(), *rare]
    # Zipf's law, as Mandelbrot corrected it.
    return words, list(accumulate((rank + 2.7) ** -1.2 for rank in range(1, len(words) + 1)))


class Chatter:
    """An endless conversation of one kind. The same `seed` gives the same one."""

    def __init__(self, kind: Kind, seed: str = "") -> None:
        self.kind, self._chance = kind, random.Random(seed)
        makers = {"lines": self._line, "words": lambda: self._sized(200), "random": lambda: self._letters(200)}
        self._make = makers[kind.texts]
        self._words, self._weights = _vocabulary()

    def text(self) -> str:
        return self._make()

    def sender(self) -> str:
        """Some people talk a lot, most a little."""
        return PEOPLE[min(int(self._chance.expovariate(0.6)), len(PEOPLE) - 1)]

    def client_id(self) -> str | None:
        if self.kind.id_bytes == 16:
            return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        return self._chance.randbytes(self.kind.id_bytes).hex() if self.kind.id_bytes else None

    def texts(self, many: int) -> Iterator[str]:
        return (self.text() for _ in range(many))

    def _line(self) -> str:
        """Mostly short: half of the lines have fewer than 9 words, one in twenty more than 30."""
        length = max(1, min(80, int(self._chance.lognormvariate(2.1, 0.8))))
        words = self._chance.choices(self._words, cum_weights=self._weights, k=length)
        if self._chance.random() < 0.04:
            words.append(f"https://{words[0]}.example/{self._chance.getrandbits(40):x}")
        if self._chance.random() < 0.1:
            words.insert(0, f"@{self.sender()}")
        return " ".join(words) + self._chance.choice(_ENDS)

    def _sized(self, size: int) -> str:
        words = self._chance.choices(self._words, cum_weights=self._weights, k=size // 3)
        return " ".join(words)[:size]

    def _letters(self, size: int) -> str:
        return self._chance.randbytes(size // 2).hex()
