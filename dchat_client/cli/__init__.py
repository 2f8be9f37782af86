"""`dchat`, the command line. `main` is the console script.

Data goes to standard output, everything about the work to standard error. Each command lies in a file of
its own kind and is loaded when it is used, so that `dchat --help` and shell completion do not wait for the
network code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

_REQUIREMENTS = ("aiohttp", "click", "platformdirs")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run `dchat` and exit with one of its documented codes."""
    try:
        from dchat_client.cli.program import main as run

        run(args)
    except ModuleNotFoundError as error:
        # The server can be installed alone; its package then brings this script, but not what it needs.
        if error.name not in _REQUIREMENTS:
            raise
        sys.exit(f"dchat: {error.name} is not installed; install the client with: pip install 'd-chat[client]'")
