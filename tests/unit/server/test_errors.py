from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from dchat_server.errors import FAILURES, BackendUnavailable, ChatError
from dchat_server.http.openapi import document

CODE = Path(str(resources.files("dchat_server")))


def test_every_row_is_well_formed() -> None:
    for code, row in FAILURES.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert code == row.code
        assert 400 <= row.status <= 503
        assert row.title
        assert not row.title.endswith(".")


def test_what_may_be_tried_again_says_when_and_nothing_else_does() -> None:
    for row in FAILURES.values():
        assert (row.retry_after_s is not None) == (row.status in (429, 503)), row.code
        assert ChatError(row.code).retryable == (row.status in (429, 503))


def test_every_code_that_is_raised_has_its_row_and_every_row_is_used() -> None:
    source = "\n".join(file.read_text() for file in [*CODE.rglob("*.py"), *CODE.rglob("*.lua")])
    raised = set(re.findall(r'ChatError\(\s*"([a-z_]+)"', source))
    assert raised <= FAILURES.keys()
    unused = {code for code in FAILURES if len(re.findall(rf"['\"]{code}['\"]", source)) < 2}
    assert not unused, "a row nobody can be told"


def test_every_code_is_documented() -> None:
    text = str(document())
    assert not [code for code in FAILURES if code not in text]


def test_a_failure_has_a_sentence_and_may_have_more_to_say() -> None:
    error = ChatError("rate_limited", retry_after_s=2.5, limit=10)
    assert (error.code, error.status, error.detail) == ("rate_limited", 429, "Too many messages.")
    assert (error.retry_after_s, error.extra) == (2.5, {"limit": 10})
    assert str(ChatError("forbidden", "No.")) == "forbidden: No."
    assert BackendUnavailable().code == "backend_unavailable"
    assert isinstance(BackendUnavailable(), ChatError)


def test_an_unknown_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        ChatError("no_such_code")
