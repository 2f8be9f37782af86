"""Tokens, tickets and invites as texts."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat_server import tokens
from dchat_server.tokens import INVITE, TICKET, TOKEN, Secret

KINDS = [TOKEN, TICKET, INVITE]


@pytest.mark.parametrize("kind", KINDS)
@given(shard=st.integers(0, 1023))
def test_a_secret_leads_to_its_record(kind: str, shard: int) -> None:
    text = tokens.make(kind, shard)
    assert re.fullmatch(rf"{kind}_{shard}_[A-Za-z0-9_-]{{43}}", text)
    assert tokens.parse(kind, text, 1024) == Secret(shard, sha256(text.encode()).hexdigest())


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_of_one_kind_is_none_of_another(kind: str) -> None:
    text = tokens.make(kind, 3)
    assert [other for other in KINDS if tokens.parse(other, text, 16)] == [kind]


def test_secrets_do_not_come_twice() -> None:
    made = {tokens.make(TOKEN, 0) for _ in range(10_000)}
    assert len(made) == 10_000
    assert len({tokens.new_id() for _ in range(10_000)}) == 10_000


GOOD = "dchat_3_" + "a" * 43


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dchat",
        GOOD[:-1],
        GOOD + "a",
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace("_3_", "_03_"),
        GOOD.replace("_3_", "_-3_"),
        GOOD.replace("_3_", "_٣_"),
        GOOD.replace("_3_", "_16_"),
        GOOD.replace("_3_", "_99999999999999999999_"),
        GOOD.replace("a" * 43, "ä" * 43),
        GOOD.replace("a" * 43, "a" * 42 + "="),
        GOOD.upper(),
        "dchat_3_" + "a" * 100_000,
    ],
)
def test_what_is_no_token_is_told_without_asking_anybody(text: str) -> None:
    assert tokens.parse(TOKEN, GOOD, 16) is not None
    assert tokens.parse(TOKEN, text, 16) is None


@given(st.text(alphabet=st.characters(), max_size=100) | st.just("\udcff\ud800"))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert len(tokens.digest(text)) == 64
    tokens.parse(TOKEN, text, 16)
