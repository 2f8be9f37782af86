"""The load generators against a server that lies: whatever it does wrong, the run must not pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from benchmarks.load import Generator, Rooms, Server, WrongResult
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


class Crossing(ThreadedServer):
    """Chat in many rooms, each heard by who asked for it, with one thing done wrong at the third message of room 1."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        self.seqs: dict[str, int] = {}
        self.heard: dict[str, asyncio.StreamWriter] = {}
        super().__init__()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            if head.startswith("GET"):
                self.heard |= dict.fromkeys(path.partition("rooms=")[2].split(","), writer)
                self.streams.append(writer)
                writer.write(b"HTTP/1.1 200 OK\r\n\r\nevent: hello\ndata: {}\n\n")
                await self.end.wait()
                return
            length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
            text = json.loads(await reader.readexactly(length))["text"]
            seq = self._give(path.split("/")[3], text)
            body = json.dumps({"message": {"seq": seq}}, separators=(",", ":"))
            writer.write(f"HTTP/1.1 201 Created\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def _give(self, room: str, text: str) -> int:
        seq = self.seqs[room] = self.seqs.get(room, 0) + 1
        wrong = self.wrong if (room, seq) == ("many-1", 3) else ""
        named = "many-2" if wrong == "name another room" else room
        data = f'event: message\ndata: {{"type":"message","room":"{named}","seq":{seq},"text":"{text}"}}\n\n'.encode()
        to = self.heard.get("many-4" if wrong == "tell another stream" else room)
        if to is not None and wrong != "lose it":
            to.write(data * (2 if wrong == "tell it twice" else 1))
        return 2 if wrong == "answer with another seq" else seq


only_c = pytest.mark.parametrize("generator", ["generator.c"], indirect=True)


@only_c
def test_many_rooms_are_each_checked_and_only_some_are_heard(generator: Generator) -> None:
    server = Crossing()
    try:
        address = Server("crossing", server.port, {}, tokens=["a", "b"])
        rooms = Rooms("many", 7, watched=3)
        load = generator.run(address, room=rooms, streams=2, senders=3, messages=7 * 4)
    finally:
        server.stop()
    assert server.seqs == {f"many-{number}": 4 for number in range(7)}
    assert set(server.heard) == {f"many-{number}" for number in range(6)}
    assert (load.sent, load.delivered) == (28, 24)


@only_c
@pytest.mark.parametrize(
    "wrong", ["lose it", "tell it twice", "name another room", "tell another stream", "answer with another seq"]
)
def test_one_wrong_thing_in_one_of_many_rooms_does_not_pass(wrong: str, generator: Generator) -> None:
    server = Crossing(wrong)
    try:
        address, rooms = Server("crossing", server.port, {}, tokens=["a"]), Rooms("many", 7, watched=3)
        with pytest.raises(WrongResult):
            generator.run(address, room=rooms, streams=2, senders=1, messages=28, stall_s=1)
    finally:
        server.stop()
