"""How the load generator speaks with the peers, against servers of a few lines, honest ones and ones that lie."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks.load import Generator, Server, WrongResult
from tests.harness.threaded import ThreadedServer

MESSAGES, STREAMS, SENDERS = 6, 3, 2


class Peer(ThreadedServer):
    """Chat in one of the dialects, with one thing done wrong at the third message."""

    def __init__(self, dialect: str, wrong: str = "") -> None:
        self.dialect, self.wrong, self.count = dialect, wrong, 0
        self.held = b""
        super().__init__()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await getattr(self, f"_{self.dialect}")(reader, writer)

    def _spread(self, text: str) -> bool:
        """Give a message to all streams. False: it is to be refused."""
        self.count += 1
        third = self.count == 3
        if third and self.wrong == "refuse":
            return False
        event = self._event(text)
        for number, stream in enumerate(self.streams):
            wrong = self.wrong if third and number == 1 else ""
            other = self._event("#0000000000#")
            stream.write({"lose": b"", "twice": event + event, "swap": b"", "other": other}.get(wrong, event))
        if third and self.wrong == "swap":
            self.held = event
        elif self.held:
            self.streams[1].write(self.held)
            self.held = b""
        return True

    def _event(self, text: str) -> bytes:
        return {
            "sse": f'id: 1:0\ndata: {{"text":"{text}"}}\n\n'.encode(),
            "nats": f"MSG room 1 {len(text)}\r\n{text}\r\n".encode(),
            "irc": f":s1!~bench@localhost PRIVMSG #room :{text}\r\n".encode(),
            "socketio": frame(f'42["message","{text}"]'),
        }[self.dialect]

    async def _sse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("GET"):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n: hi\n\n")
                self.streams.append(writer)
            else:
                length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
                body = (await reader.readexactly(length)).decode()
                taken = self._spread(body.removeprefix('{"text":"').removesuffix('"}'))
                writer.write(f"HTTP/1.1 {'201 Created' if taken else '507 Full'}\r\nContent-Length: 0\r\n\r\n".encode())

    async def _nats(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x"}\r\n')
        while line := (await reader.readuntil(b"\n")).decode():
            if line.startswith("SUB room"):
                self.streams.append(writer)
            elif line.startswith("PING"):
                writer.write(b"PONG\r\nPING\r\n")
            elif line.startswith("PUB room") and not self._spread((await reader.readuntil(b"\n")).decode().strip()):
                writer.write(b"-ERR 'Maximum Payload Violation'\r\n")

    async def _irc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readuntil(b"\n")).decode().strip():
            if line.startswith("USER"):
                writer.write(b":irc 001 you :Welcome\r\n:irc 422 you :MOTD file is missing\r\nPING :1\r\n")
            elif line.startswith("JOIN #room"):
                self.streams.append(writer)
                for each in self.streams:
                    each.write(b":r1!~bench@localhost JOIN :#room\r\n")
                writer.write(b":irc 353 you = #room :r1\r\n:irc 366 you #room :End of NAMES list\r\n")
            elif line.startswith("PRIVMSG #room :") and not self._spread(line.removeprefix("PRIVMSG #room :")):
                writer.write(b":irc 404 you #room :Cannot send to channel\r\n")

    async def _socketio(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n" + frame('0{"sid":"x"}'))
        assert await unmasked(reader) == "40"
        writer.write(frame('40{"sid":"y"}') + frame("2"))
        assert await unmasked(reader) == "3"
        if "room=room" in head:
            self.streams.append(writer)
        while text := await unmasked(reader):
            number, _, rest = text.removeprefix("42").partition("[")
            taken = self._spread(rest.removeprefix('"send","').removesuffix('"]'))
            writer.write(frame(f'43{number if taken else 0}["taken"]'))


def frame(text: str) -> bytes:
    size = len(text)
    return (bytes([0x81, size]) if size < 126 else bytes([0x81, 126, size >> 8, size & 255])) + text.encode()


async def unmasked(reader: asyncio.StreamReader) -> str:
    """The next frame of a client, which must be masked."""
    kind, size = await reader.readexactly(2)
    assert kind == 0x81
    assert size & 0x80, "a client's frame is not masked"
    size &= 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    mask, data = await reader.readexactly(4), await reader.readexactly(size)
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)).decode()


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    generator = Generator(tmp_path_factory.mktemp("dialects"))
    assert generator.compiler, "this needs a C compiler: apt-get install gcc"
    return generator


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    peer = Peer(*request.param)
    yield peer
    peer.stop()


def measure(generator: Generator, peer: Peer) -> tuple[int, int]:
    load = generator.run(
        Server("peer", peer.port, {}, peer.dialect, (), "/?room={room}", "/?to={room}"), room="room", streams=STREAMS,
        senders=SENDERS, messages=MESSAGES, size=200, stall_s=1, settle_ms=10,
    )  # fmt: skip
    return load.sent, load.delivered


@pytest.mark.parametrize("peer", [("sse",), ("nats",), ("irc",), ("socketio",)], indirect=True, ids=str)
def test_an_honest_peer_passes_in_every_dialect(generator: Generator, peer: Peer) -> None:
    assert measure(generator, peer) == (MESSAGES, STREAMS * MESSAGES)


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        (("sse", "lose"), "of 18 deliveries"),
        (("irc", "twice"), "out of order"),
        (("nats", "swap"), "out of order"),
        (("sse", "twice"), "out of order"),
        (("socketio", "swap"), "out of order"),
        (("socketio", "other"), "out of order"),
        (("nats", "refuse"), "1 refused"),
        (("irc", "refuse"), "1 refused"),
        (("socketio", "refuse"), "1 refused"),
    ],
    indirect=["peer"],
    ids=str,
)
def test_a_peer_that_does_one_thing_wrong_does_not_pass(generator: Generator, peer: Peer, told: str) -> None:
    with pytest.raises(WrongResult, match=told):
        measure(generator, peer)
