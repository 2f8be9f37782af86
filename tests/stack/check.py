"""One check of the deployment stack, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.stack.tools import Absent, Broken, Tools


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"
    ABSENT = "not possible here"


@dataclass(frozen=True)
class Check:
    """`run` does it and returns a word on how, if there is something to say. Raises Absent, Broken."""

    name: str
    run: Callable[[Tools], str]


@dataclass(frozen=True)
class Result:
    name: str
    verdict: Verdict
    said: str
    """One line: how it was done, what failed, or why it could not be done."""
    detail: str
    """Of a failure what the tool printed, of an absence what to do about it."""
    seconds: float


def carry_out(check: Check, tools: Tools, *, strict: bool) -> Result:
    """Run `check`. With `strict`, the absence of what can be had is a failure. Raises nothing."""
    began = time.monotonic()
    try:
        verdict, said, detail = Verdict.OK, check.run(tools), ""
    except Absent as error:
        helped = strict and error.published
        verdict, said, detail = Verdict.FAILED if helped else Verdict.ABSENT, error.why, error.remedy
    except Broken as error:
        verdict, said, detail = Verdict.FAILED, error.command, error.output
    except Exception as error:
        verdict, said, detail = Verdict.FAILED, "the check itself does not work", repr(error)
    return Result(check.name, verdict, said, detail, time.monotonic() - began)
