"""The SSE decoder: bytes in, events out. No I/O, no JSON, no clock.

It follows "Interpreting an event stream" of the WHATWG HTML standard
(https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation), so it reads
what any SSE server writes, and gives what a browser's EventSource would give, however the bytes were cut on
the way.

The standard has no bounds; a stream that never ends a line would eat all memory, so this decoder has two.
"""

from __future__ import annotations

from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
# Python refuses to read absurdly long numbers, and nobody waits for 10^18 ms anyway.
_MAX_RETRY_DIGITS = 18


class StreamTooLarge(ValueError):
    """A line or an event of the stream went over its bound. The stream cannot be read on; open a new one."""


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event.

    `type` is "message" when the stream named none. `data` has its lines joined by "\\n". `last_event_id` is
    the id in force after this event, which may stem from an earlier one; "" means none was ever given.
    """

    type: str
    data: str
    last_event_id: str


class Decoder:
    """Turns the bytes of one connection into events; make a new one for each connection.

    `last_event_id` may be given from the connection before, as the standard asks. Sizes are in bytes on the
    wire.
    """

    def __init__(
        self, last_event_id: str = "", *, max_line_bytes: int = 1 << 20, max_event_bytes: int = 4 << 20
    ) -> None:
        self.last_event_id = last_event_id
        """The id in force: it moves at the end of a block, also when the block held nothing but an `id:`."""
        self.retry_ms: int | None = None
        """The last reconnection time the server asked for on this connection, in milliseconds."""
        self._max_line = max_line_bytes
        self._max_event = max_event_bytes
        self._partial = bytearray()
        self._at_start = True
        self._after_cr = False
        self._too_large: str | None = None
        self._id = last_event_id
        self._type = ""
        self._data: list[str] = []
        self._event_bytes = 0

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completed, in order; what is incomplete waits for the next call.

        Cutting the same stream differently gives the same events. At the end of a connection drop the
        decoder: an event without its closing blank line does not count. Raises StreamTooLarge, then and on
        every later call.
        """
        if self._too_large:
            raise StreamTooLarge(self._too_large)
        if self._after_cr and data:
            # "\r\n" is one line end also when the cut went right through it.
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        events: list[Event] = []
        for piece in data.splitlines(keepends=True):  # on bytes this splits at \n, \r and \r\n only
            line = piece.rstrip(b"\r\n")
            if len(self._partial) + len(line) > self._max_line:
                self._overflow(f"a line of the stream is longer than {self._max_line} bytes")
            if len(line) == len(piece):
                self._partial += line
                break
            if self._partial:
                line = bytes(self._partial) + line
                self._partial.clear()
            event = self._line(line)
            if event is not None:
                events.append(event)
        if data:
            self._after_cr = data.endswith(b"\r")
        return events

    def _line(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            return None
        # Decoding a line at a time gives the same as decoding the stream: CR and LF never lie inside a
        # UTF-8 sequence.
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._event_bytes += len(line)
            if self._event_bytes > self._max_event:
                self._overflow(f"an event of the stream is larger than {self._max_event} bytes")
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            digits = value.lstrip("0") or "0"
            self.retry_ms = int(digits) if len(digits) <= _MAX_RETRY_DIGITS else 10**_MAX_RETRY_DIGITS
        return None

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        kind, lines = self._type, self._data
        self._type, self._data, self._event_bytes = "", [], 0
        # The standard looks at the data buffer, in which even an empty `data:` line leaves a "\n".
        if not lines:
            return None
        return Event(kind or "message", "\n".join(lines), self.last_event_id)

    def _overflow(self, what: str) -> None:
        self._too_large = what
        self._partial.clear()
        self._data = []
        raise StreamTooLarge(what)
