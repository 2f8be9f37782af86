"""The load generators against a server that lies: whatever it does wrong, the run must not pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from benchmarks.load import Generator, Server, WrongResult
from tests.harness.threaded import ThreadedServer

MESSAGES, STREAMS = 6, 3

WRONGS = {
    "lose a delivery": "of 18 deliveries",
    "deliver twice": "out of order",
    "swap two": "out of order",
    "deliver another message": "wrong",
    "deliver into another room": "wrong",
    "tell a sender another seq": "wrong",
    "refuse one": "refused",
    "announce a gap": "interrupted",
    "close a stream": "closed",
}


class Liar(ThreadedServer):
    """Chat as the generator expects it, with one thing done wrong at the third message."""

    def __init__(self, wrong: str) -> None:
        self.wrong, self.seq = wrong, 0
        self.held: bytes = b""
        super().__init__()

    @property
    def address(self) -> Server:
        return Server("liar", self.port, {}, tokens=["t"])

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("GET"):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\nevent: hello\ndata: {}\n\n")
                self.streams.append(writer)
                await self.end.wait()
                return
            length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
            self._post(writer, json.loads(await reader.readexactly(length))["text"])

    def _post(self, writer: asyncio.StreamWriter, text: str) -> None:
        self.seq += 1
        third, told, status = self.seq == 3, self.seq, "201 Created"
        if third and self.wrong == "refuse one":
            status, self.seq = "503 Busy", self.seq - 1
        elif third and self.wrong == "tell a sender another seq":
            told = 2
        if status.startswith("201"):
            for number, stream in enumerate(self.streams):
                stream.write(self._event(text, third and number == 1))
                if third and number == 1 and self.wrong == "close a stream":
                    stream.close()
            if self.wrong == "swap two" and third:
                self.held = self._plain(text)
            elif self.held:
                self.streams[1].write(self.held)
                self.held = b""
        body = json.dumps({"message": {"seq": told}}, separators=(",", ":"))
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def _plain(self, text: str, room: str = "room") -> bytes:
        return (
            f'event: message\ndata: {{"type":"message","room":"{room}","seq":{self.seq},"text":"{text}"}}\nid: c\n\n'
        ).encode()

    def _event(self, text: str, wrong_here: bool) -> bytes:
        plain = self._plain(text)
        if not wrong_here:
            return plain
        return {
            "lose a delivery": b"",
            "deliver twice": plain + plain,
            "swap two": b"",
            "deliver another message": self._plain("#0000000000#"),
            "deliver into another room": plain + self._plain(text, "elsewhere"),
            "announce a gap": b"event: gap\ndata: {}\n\n" + plain,
        }.get(self.wrong, plain)


@pytest.fixture(scope="module", params=["generator.c", "generator.py"])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    generator = Generator(tmp_path_factory.mktemp("load"), c=request.param == "generator.c")
    assert generator.name.startswith(request.param), "this needs a C compiler: apt-get install gcc"
    return generator


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Liar]:
    server = Liar(getattr(request, "param", ""))
    yield server
    server.stop()


def test_an_honest_server_passes_and_everything_is_counted(generator: Generator, server: Liar) -> None:
    load = generator.run(server.address, room="room", streams=STREAMS, senders=2, messages=MESSAGES, rate=500, size=50)
    assert (load.streams, load.sent, load.delivered) == (STREAMS, MESSAGES, STREAMS * MESSAGES)
    assert 0 < load.delivery_us["p50"] <= load.delivery_us["p99"] <= load.delivery_us["max"] < 60_000_000
    assert load.answer_us["p50"] > 0
    # Paced, not all at once: a loop whose timers count milliseconds may be early by one at either end.
    assert load.seconds > (MESSAGES - 1) / 500 - 0.002


@pytest.mark.parametrize(("server", "told"), WRONGS.items(), indirect=["server"])
def test_a_server_that_does_one_thing_wrong_does_not_pass(generator: Generator, server: Liar, told: str) -> None:
    with pytest.raises(WrongResult, match=told):
        generator.run(server.address, room="room", streams=STREAMS, senders=1, messages=MESSAGES, size=50, stall_s=1)


def test_answers_are_checked_also_when_nobody_listens(generator: Generator) -> None:
    server = Liar("tell a sender another seq")
    try:
        with pytest.raises(WrongResult, match="wrong"):
            generator.run(server.address, room="room", senders=1, messages=MESSAGES, stall_s=1)
    finally:
        server.stop()


def test_a_room_that_does_not_begin_where_it_should_is_noticed(generator: Generator, server: Liar) -> None:
    with pytest.raises(WrongResult, match="out of order"):
        generator.run(server.address, room="room", first=5, streams=1, senders=1, messages=MESSAGES, stall_s=1)
