"""The way to the server: the only file that opens a socket.

A `Connection` knows one or more addresses of the same service and talks to one of them until it fails, then
to the next. Requests have time-outs and are repeated a bounded number of times, but only those that may be:
a request whose outcome is unknown is repeated only when doing it twice does the same as doing it once.

Whatever goes wrong comes out as a ChatError. Redirects are not followed, because a token is meant for one
address.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from dchat_client import __version__
from dchat_client.address import LOOPBACK, segment
from dchat_client.answers import MAX_ERROR_BYTES, answer_of, decoded, field, first_bytes, lines_of, object_of, refusal
from dchat_client.backoff import Backoff
from dchat_client.errors import ChatError, Refused, ServerFault, Unreachable, os_words
from dchat_client.outbox import Answer, Entry
from dchat_client.session import Attach


class Stream:
    """An open event stream: bytes, as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        """Return the next bytes, at least one;

        b"" when the server closed. Raises Unreachable when it broke.
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"the connection broke: {_words(error)}", code="unreachable") from error


class Connection:
    """Requests and streams to one service, as one user. Use it as an async context manager.

    `timeout_s` bounds one try of a request, `patience_s` all its tries and waits together.
    """

    def __init__(
        self,
        urls: Sequence[str],
        token: str | None = None,
        *,
        timeout_s: float = 15.0,
        connect_timeout_s: float = 5.0,
        patience_s: float = 30.0,
        tries: int = 5,
    ) -> None:
        self.urls = tuple(urls)
        self._token = token
        self._at = 0
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._patience_s = patience_s
        self._tries = max(tries, len(self.urls))
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Proxies of the environment are honoured as curl does, but never asked for this very machine.
        local = all(urlsplit(url).hostname in LOOPBACK for url in self.urls)
        self._http = aiohttp.ClientSession(
            headers={"User-Agent": f"dchat/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not local,
            # Each stream line is bounded by the decoder; this only has to be large enough not to be in the
            # way.
            read_bufsize=256 << 10,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def url(self) -> str:
        """The address in use now."""
        return self.urls[self._at]

    def use_next_url(self) -> None:
        """Turn to the next address; with only one, this does nothing."""
        self._at = (self._at + 1) % len(self.urls)

    def sign_in(self, token: str | None) -> None:
        """Use `token` from the next request on."""
        self._token = token

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: dict[str, Any] | None = None,
        repeatable: bool | None = None,
    ) -> dict[str, Any]:
        """Return the decoded answer of `path` ("/v1/me"); {} for 204.

        Tried again, at another address if there is one, when the server cannot be reached or is busy, within
        `patience_s`. With `repeatable` False (the default for POST) that happens only when it surely was
        not done: no connection was made, or the answer says so. Raises ChatError.
        """
        _, answer = await self._repeat(method, path, body=body, params=params, repeatable=repeatable)
        return answer

    async def post_message(
        self, room: str, text: str, *, client_id: str, reply_to: int | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Store one message and return it, and True when an earlier try with the same key had stored it.

        May be repeated with the same `client_id`, and is, as `request` does it.
        """
        body = Entry(room, text, client_id, reply_to).body()
        status, answer = await self._repeat("POST", f"/v1/rooms/{segment(room)}/messages", body=body, repeatable=True)
        return field(answer, "message"), status == 200

    async def post_batch(self, room: str, entries: Iterable[Entry]) -> list[Answer]:
        """Send entries of one room in one request and return the answers that came, in order.

        One try. Fewer answers than entries: the connection broke after them and the rest is unknown. Raises
        ChatError when not even the first answer came: Unreachable and ServerFault leave the outcome unknown.
        """
        lines = b"".join(_json_bytes(entry.body()) + b"\n" for entry in entries)
        path = f"/v1/rooms/{segment(room)}/messages"
        headers = {"Content-Type": "application/x-ndjson", "Accept": "application/x-ndjson"}
        answers: list[Answer] = []
        try:
            with _network_errors(self.url):
                async with await self._start("POST", path, data=lines, headers=headers) as response:
                    if response.status >= 300:
                        raise await refusal(response)
                    async for line in lines_of(response):
                        answers.append(answer_of(line))
        except Unreachable:
            self.use_next_url()
            if not answers:
                raise
        except ServerFault:
            if not answers:
                raise
        return answers

    @asynccontextmanager
    async def stream(self, attach: Attach) -> AsyncIterator[Stream]:
        """Open the event stream. One try. Raises ChatError when it was refused or did not open."""
        params: dict[str, Any] = {}
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if attach.rooms is not None:
            params["rooms"] = ",".join(attach.rooms)
        if attach.cursor is not None:
            # The header is what EventSource sends; a cursor that cannot stand in one goes into the query.
            if attach.cursor.isascii() and attach.cursor.isprintable():
                headers["Last-Event-ID"] = attach.cursor
            else:
                params["cursor"] = attach.cursor
        elif attach.since is not None:
            params["since"] = attach.since
        open_ended = aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s, sock_read=None)
        with _network_errors(self.url):
            async with asyncio.timeout(self._timeout_s):  # for the head; the body may take days
                response = await self._start("GET", "/v1/events", params=params, headers=headers, timeout=open_ended)
        try:
            if response.status >= 300:
                with _network_errors(self.url):
                    raise await refusal(response)
            if response.content_type != "text/event-stream":
                raise ServerFault(
                    f"{self.url} answered {response.content_type} instead of an event stream",
                    code="not_dchat",
                )
            yield Stream(response)
        finally:
            response.close()

    async def lines(self, method: str, path: str, *, silence_s: float = 60.0) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects of an NDJSON answer as they come, for as long as they do. One try.

        Raises ChatError when it was refused, broke, or nothing came for `silence_s`.
        """
        waiting = aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s, sock_read=silence_s)
        with _network_errors(self.url):
            headers = {"Accept": "application/x-ndjson"}
            async with await self._start(method, path, headers=headers, timeout=waiting) as response:
                if response.status >= 300:
                    raise await refusal(response)
                async for line in lines_of(response):
                    yield object_of(line)

    async def probe(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and the first 64 KiB of the body of `path`, whatever the status. One try."""
        with _network_errors(self.url):
            async with await self._start("GET", path) as response:
                return response.status, dict(response.headers), await first_bytes(response, MAX_ERROR_BYTES)

    async def _repeat(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: dict[str, Any] | None = None,
        repeatable: bool | None = None,
    ) -> tuple[int, dict[str, Any]]:
        if repeatable is None:
            repeatable = method != "POST"
        data = None if body is None else _json_bytes(body)
        backoff = Backoff(base_s=0.3, cap_s=5.0)
        give_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                headers = {"Accept": "application/json"} | (
                    {"Content-Type": "application/json"} if data is not None else {}
                )
                with _network_errors(self.url):
                    async with await self._start(method, path, data=data, params=params, headers=headers) as response:
                        if response.status >= 300:
                            raise await refusal(response)
                        return response.status, await decoded(response)
            except ChatError as error:
                if not error.retryable or not (repeatable or _surely_not_done(error)):
                    raise
                if error.status != 429:  # a limit holds at every address
                    self.use_next_url()
                wait_s = backoff.next(error.retry_after_s)
                if backoff.tries >= self._tries or time.monotonic() + wait_s > give_up_at:
                    raise
                await asyncio.sleep(wait_s)

    async def _start(
        self, method: str, path: str, *, timeout: aiohttp.ClientTimeout | None = None, **options: Any
    ) -> aiohttp.ClientResponse:
        """Return the response once its head is there, whatever its status."""
        if self._http is None:
            raise RuntimeError("the connection is used outside its `async with`")
        headers = dict(options.pop("headers", None) or {})
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        timeout = timeout or aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=self._connect_timeout_s)
        with _network_errors(self.url):
            try:
                return await self._http.request(
                    method,
                    self.url + path,
                    headers=headers,
                    timeout=timeout,
                    allow_redirects=False,
                    **options,
                )
            except aiohttp.ClientConnectorCertificateError as error:
                words = f"{self.url} shows a certificate that is not trusted: {error.certificate_error}"
                raise Refused(words, code="untrusted_certificate") from error
            except (aiohttp.InvalidURL, ValueError) as error:
                raise Refused(f"{self.url} cannot be asked: {error}", code="invalid_request") from error


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    """Turn what aiohttp and the system raise into Unreachable."""
    try:
        yield
    except TimeoutError as error:
        raise Unreachable(f"{url} did not answer in time", code="unreachable") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"{url} cannot be reached: {_words(error)}", code="unreachable") from error


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _surely_not_done(error: ChatError) -> bool:
    if isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return True
    # Any other 502, 503 or 504 may come after the deed: backend_unavailable says that nobody knows.
    return error.status == 429 or error.code in ("overloaded", "draining")


def _words(error: BaseException) -> str:
    cause = getattr(error, "os_error", error)
    return os_words(cause) if isinstance(cause, OSError) else str(error) or type(error).__name__
