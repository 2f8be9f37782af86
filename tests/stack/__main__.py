"""Check the deployment stack with the real tools: python -m tests.stack [--strict] [NAME …]

What a check needs and is not here is told, with what to do about it; that is no failure. With --strict it is one,
unless it can be had neither from Debian nor from PyPI nor from npm (terraform, and its provider).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.stack.check import Check, Result, Verdict, carry_out
from tests.stack.checks import CHECKS, IMAGE
from tests.stack.report import failure, progress, table
from tests.stack.tools import Tools


def main(arguments: list[str]) -> int:
    """Make the checks whose name begins with one of those given, or all. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tests.stack", description=__doc__)
    parser.add_argument("--strict", action="store_true", help="fail when a check cannot be made that could be")
    parser.add_argument(
        "--image", action="store_true", help="also build the image and run it: minutes, as root on Debian"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {'; '.join(check.name for check in CHECKS)}")
    asked = parser.parse_args(arguments)
    checks = [check for check in CHECKS if not asked.names or check.name.startswith(tuple(asked.names))]
    if asked.image:
        checks = [IMAGE, *checks] if asked.names else [IMAGE]
    if not checks:
        parser.error(f"there is no such check: {' '.join(asked.names)}")

    results = carry_out_all(checks, Tools(), strict=asked.strict)
    failed = [result for result in results if result.verdict is Verdict.FAILED]
    for result in failed:
        print(failure(result))
    print(table(results))
    return 1 if failed else 0


def carry_out_all(checks: Sequence[Check], tools: Tools, *, strict: bool) -> list[Result]:
    """As many side by side as there are processors; tells of each when it ends."""
    results: list[Result] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        under_way = [pool.submit(carry_out, check, tools, strict=strict) for check in checks]
        for done in as_completed(under_way):
            results.append(done.result())
            print(progress(results[-1], len(results), len(checks)), flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
