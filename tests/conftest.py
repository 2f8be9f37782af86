"""What all tests share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest

from tests.harness import processes


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    return processes.free_port()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what `dchat_server.logs.start` set up, which holds for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    if "structlog" in sys.modules:
        sys.modules["structlog"].reset_defaults()
