"""Each request has an id: the balancer's, where it gave a sane one, else one of ours."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from dchat_server.http.request_ids import MAX_CHARS, id_of

OF_AWS = "Root=1-67891233-abcdef012345678912345678;Self=1-67891234-12456789abcdef012345678"


@pytest.mark.parametrize("given", ["5f3c9a1e-0b7d-4c11-9d3e-7f1f0c2f6f11", "abcdef", "a" * MAX_CHARS, OF_AWS])
@pytest.mark.parametrize("header", ["X-Request-Id", "x-request-id", "X-Amzn-Trace-Id"])
def test_the_balancers_id_is_taken(header: str, given: str) -> None:
    assert id_of(CIMultiDict({header: given})) == given


def test_the_id_for_everybody_wins_over_that_of_aws() -> None:
    assert id_of(CIMultiDict({"X-Amzn-Trace-Id": OF_AWS, "X-Request-Id": "from-elsewhere"})) == "from-elsewhere"


@pytest.mark.parametrize(
    "given",
    ["", "short", "a" * (MAX_CHARS + 1), "two words", 'quote"d', "line\nbreak", "ümlaut-1", "\x1b[2Jabcd", "-dash-1"],
)
def test_one_that_is_too_long_or_not_plain_is_not(given: str) -> None:
    made = id_of(CIMultiDict({"X-Request-Id": given}))
    assert made != given
    assert id_of(CIMultiDict({"X-Request-Id": made})) == made


def test_no_two_requests_are_given_the_same() -> None:
    assert len({id_of(CIMultiDict()) for _ in range(1000)}) == 1000
