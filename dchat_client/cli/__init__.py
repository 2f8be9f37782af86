"""`dchat`, the command line. `main` is the console script.

Data goes to standard output, everything about the work to standard error. Each command lies in a file of
its own kind and is loaded when it is used, so that `dchat --help` and shell completion do not wait for the
network code.
"""

from __future__ import annotations

from dchat_client.cli.program import dchat, main

__all__ = ["dchat", "main"]
