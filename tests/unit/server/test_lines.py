"""Short texts people give themselves."""

from __future__ import annotations

import pytest

from dchat_server.errors import ChatError
from dchat_server.lines import check_line


@pytest.mark.parametrize("text", ["", "Ada L.", "李小龍", "ليلى", "👩‍💻 e\u0301", "x" * 64])
def test_any_line_will_do(text: str) -> None:
    check_line("display_name", text, 64)


def test_it_comes_back_trimmed_and_composed() -> None:
    assert check_line("display_name", " \tcafe\u0301\u3000", 64) == "café"


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x00b", "a\x1b[2Jb", "a\x9bb", "a\u2028b", "a\u202eb", "a\u2066b", "\ud800", "x" * 65]
)
def test_what_would_spoil_a_line_is_refused(text: str) -> None:
    with pytest.raises(ChatError, match="`display_name`"):
        check_line("display_name", text, 64)
