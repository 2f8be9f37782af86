"""Texts given on the command line: as an argument, or on standard input."""

from __future__ import annotations

import sys

import click

from dchat_client.texts import UnfitText, decoded, from_argument


def text_given(argument: str | None) -> str:
    """Return the text that was given: as an argument, or for None and "-" on standard input, less its last line end.

    Raises UsageError when there is neither, ClickException when it is not UTF-8.
    """
    if argument is None and sys.stdin.isatty():
        raise click.UsageError("TEXT is missing; - reads it from standard input.")
    try:
        if argument is not None and argument != "-":
            return from_argument(argument)
        return decoded(sys.stdin.buffer.read()).removesuffix("\n")
    except UnfitText as error:
        raise click.ClickException(str(error)) from None
