"""What every command needs: the profile in force, a connection, and the two outputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from dchat_client.config import Folders, Profile, load_profile
from dchat_client.errors import SignInNeeded
from dchat_client.terminal import Style, json_line

if TYPE_CHECKING:
    from dchat_client.connection import Connection

_T = TypeVar("_T")


class OutputClosed(Exception):
    """Nobody reads our output any more.

    Not an OSError: click takes a broken pipe for itself and ends with 1.
    """


class Face:
    """The command line's settings and outputs: data to standard output, everything else to standard error."""

    def __init__(self, *, url: str | None = None, profile_name: str | None = None, quiet: bool = False) -> None:
        self._url = url
        self._profile_name = profile_name
        self._quiet = quiet
        self._progress = False

    @classmethod
    def plain(cls) -> Face:
        """Return a face without settings, for what is said before there are any."""
        return cls()

    def at(self, url: str) -> Face:
        """Return a face like this one that talks to `url`."""
        return Face(url=url, profile_name=self._profile_name, quiet=self._quiet)

    @cached_property
    def folders(self) -> Folders:
        """Where this user's files lie."""
        return Folders.of_user()

    @cached_property
    def profile(self) -> Profile:
        """The profile in force. Raises ConfigError."""
        return load_profile(self.folders, name=self._profile_name, url=self._url)

    @cached_property
    def token(self) -> str | None:
        """The token of the profile, None when nobody is signed in. Raises ConfigError."""
        from dchat_client.tokens import token_for

        return token_for(self.folders, self.profile)

    def connection(self, *, signed_in: bool = True, **options: Any) -> Connection:
        """Return a connection to the profile's server.

        Raises SignInNeeded when a token is needed and missing.
        """
        from dchat_client.connection import Connection

        if not signed_in:
            return Connection(self.profile.urls, None, **options)
        if self.token is None:
            raise SignInNeeded(f"Nobody is signed in at {self.profile.url}.", code="unauthorized")
        return Connection(self.profile.urls, self.token, **options)

    def run(self, work: Callable[[Connection], Coroutine[Any, Any, _T]], *, signed_in: bool = True) -> _T:
        """Return what `work(connection)` returns; the connection is open meanwhile. Ctrl-C cancels it."""
        import asyncio

        async def connected() -> _T:
            async with self.connection(signed_in=signed_in) as connection:
                return await work(connection)

        return asyncio.run(connected())

    # Standard output

    @cached_property
    def style(self) -> Style:
        """Colours for standard output, or none."""
        return Style.for_output(is_terminal=self.is_terminal, environ=os.environ)

    @property
    def is_terminal(self) -> bool:
        """A person looks at standard output."""
        return sys.stdout.isatty()

    def data(self, text: str) -> None:
        """Write one line of data; cleaned by the caller. Raises OutputClosed."""
        self.write(text + "\n")

    def write(self, text: str) -> None:
        """Write text as it is. Raises OutputClosed."""
        with _closing():
            sys.stdout.write(text)

    def flush(self) -> None:
        """Bring out all data written so far. Raises OutputClosed."""
        with _closing():
            sys.stdout.flush()

    def json(self, value: Any) -> None:
        """Write one value as a line of JSON."""
        self.data(json_line(value))

    # Standard error

    def say(self, text: str) -> None:
        """Write a line about the work; not with --quiet."""
        if not self._quiet:
            self._line(text)

    def error(self, text: str, next_step: str | None = None) -> None:
        """Write what went wrong, and what to do about it."""
        style = Style.for_output(is_terminal=sys.stderr.isatty(), environ=os.environ)
        self._line(f"dchat: {style.bad(text)}")
        if next_step:
            self._line(f"       {next_step}")

    def progress(self, text: str) -> None:
        """Show how far the work is, on one line that changes; only where a person looks on."""
        if not self._quiet and sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._progress = True

    def _line(self, text: str) -> None:
        with _closing():
            if self._progress:
                sys.stderr.write("\r\x1b[K")
                self._progress = False
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


@contextmanager
def _closing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise OutputClosed from None
