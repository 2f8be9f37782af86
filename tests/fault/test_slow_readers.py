"""A reader that stops reading is closed, resumes by its cursor, and costs the others nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path

import aiohttp

from tests.harness.checker import Opened, Placed, Record, Saw, canonical
from tests.harness.crowd import Reader, Writer, caught_up, run_of, stop_all
from tests.harness.people import Person, house
from tests.harness.processes import eventually
from tests.harness.sse import SseReader
from tests.harness.workers import Worker, Workers


def open_and_do_not_read(worker: Worker, person: Person, cursor: str) -> socket.socket:
    """A stream whose client takes the head of the answer and then looks away."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", worker.port))
    request = (
        f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\nLast-Event-ID: {cursor}\r\n\r\n"
    )
    sock.sendall(request.encode())
    sock.recv(1, socket.MSG_PEEK)
    return sock


def what_arrived(sock: socket.socket, record: Record) -> str:
    """Read what is left until the server's end shows; note it, and return the last cursor."""
    record.entries.append(Opened("raw", "cursor"))
    raw = b""
    with suppress(ConnectionResetError):
        while data := sock.recv(65536):
            raw += data
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head:
        return ""  # the server's reset came first, and took everything with it
    assert head.startswith(b"HTTP/1.1 200"), head
    cursor = ""
    for told in SseReader().feed(body):
        event = told.event
        if "seq" in event:
            record.entries.append(Saw(event["room"], event["epoch"], event["seq"], canonical(event)))
        if told.cursor:
            cursor = told.cursor
            record.entries.append(Placed())
    return cursor


def resident_kb(worker: Worker) -> int:
    status = Path(f"/proc/{worker.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def test_a_reader_that_stops_in_a_flood_is_closed_and_resumes_and_the_others_do_not_notice(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    worker = workers[0]
    (ada, ben, eve), (room,) = await house(http, [worker.url], 3)
    heads, cursor = await ben.sync()
    closed_before = worker.metric("dchat_slow_streams_closed_total")
    readers = [Reader(ben, cursor=cursor, starts=heads, seed=at).start() for at in range(5)]
    await asyncio.gather(*(reader.live.wait() for reader in readers))
    slow = [open_and_do_not_read(worker, eve, cursor) for _ in range(10)]
    try:
        await eventually(lambda: worker.metric("dchat_streams") >= 15, "all streams are open")
        memory = resident_kb(worker)
        writer = Writer(ada, room, padding="x" * 15_000).start()
        began = time.monotonic()
        await eventually(
            lambda: worker.metric("dchat_slow_streams_closed_total") == closed_before + 10,
            "the slow streams are closed",
        )
        took, grown = time.monotonic() - began, resident_kb(worker) - memory
        for _ in range(3):
            await ada.send(room, "and on it goes")
        writer.stopped = True
        await writer.task  # type: ignore[misc]
        heads_now = {room: await ada.head(room)}
        # What each had received holds together with what it gets after its cursor.
        resumed = []
        for number, sock in enumerate(slow):
            record = Record(f"slow/{number}", dict(heads))
            place = await asyncio.to_thread(what_arrived, sock, record)
            late = Reader(eve, cursor=place or cursor, seed=number)
            late.record = record
            resumed.append(late.start())
        await caught_up(resumed, heads_now)
        found, _ = await run_of([], [*readers, *resumed], [room])
        assert found == []
        assert all(reader.record.connections == 1 for reader in readers), "the others were cut too"
        print(f"closed {took:.1f} s after the first message; memory grew by {grown} KB for ten of them")
        assert took < 30
        assert grown < 10 * 8 * 1024
    finally:
        for sock in slow:
            sock.close()


async def test_a_reader_that_stops_where_little_is_said_is_closed_within_a_few_pings(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    """Its buffer never fills; that something stays in it is enough."""
    worker = workers[1]
    (ada, eve), (room,) = await house(http, [worker.url], 2)
    heads, cursor = await eve.sync()
    reader = Reader(ada, cursor=cursor, starts=heads).start()
    await reader.live.wait()
    closed_before = worker.metric("dchat_slow_streams_closed_total")
    sock = open_and_do_not_read(worker, eve, cursor)
    try:
        for number in range(30):  # more than the kernel hides, less than the worker's own bound
            await ada.send(room, f"{number} " + "y" * 15_000)
        began = time.monotonic()
        await eventually(
            lambda: worker.metric("dchat_slow_streams_closed_total") == closed_before + 1, "the slow stream is closed"
        )
        took = time.monotonic() - began
        print(f"closed after {took:.1f} s with pings every 2 s")
        assert took < 30
        last = await ada.send(room, "still here")
        await caught_up([reader], {room: last["seq"]})
        await stop_all([reader])
        assert reader.record.connections == 1
        assert reader.texts(room)[-1] == "still here"
    finally:
        sock.close()


async def test_a_slow_client_that_replays_much_gets_all_of_it_at_its_own_pace(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    worker = workers[2]
    (ada, eve), (room,) = await house(http, [worker.url], 2)
    heads, cursor = await eve.sync()
    for _ in range(20):
        lines = b"".join(b'{"text":"%s"}\n' % (b"z" * 10_000) for _ in range(20))
        answer = await http.post(
            f"{worker.url}/v1/rooms/{room}/messages",
            data=lines,
            headers={**ada.headers, "Content-Type": "application/x-ndjson"},
        )
        assert answer.status == 200, await answer.text()
        await answer.read()
    head = await ada.head(room)
    assert head - heads[room] == 400
    sock = await asyncio.to_thread(open_and_do_not_read, worker, eve, cursor)
    record = Record("slow", dict(heads))

    def read_slowly() -> None:
        record.entries.append(Opened("raw", "cursor"))
        decoder, raw = SseReader(), b""
        while b"\r\n\r\n" not in raw:
            raw += sock.recv(4096)
        pieces = [raw.partition(b"\r\n\r\n")[2]]
        while True:
            for told in decoder.feed(pieces.pop()):
                if "seq" in told.event:
                    event = told.event
                    record.entries.append(Saw(event["room"], event["epoch"], event["seq"], canonical(event)))
                    if event["seq"] == head:
                        return
            time.sleep(0.01)
            pieces.append(sock.recv(16_384))
            assert pieces[0], f"closed at {record.seqs(room)[-1:]} of {head}"

    try:
        await asyncio.wait_for(asyncio.to_thread(read_slowly), 100)
        assert record.seqs(room) == list(range(heads[room] + 1, head + 1))
    finally:
        sock.close()
