"""The load generator where there is no C compiler: the same options, checks and answer as c/generator.c.

See there for how it works; this one speaks with D-Chat only. Standard library, and uvloop where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import sys
import time
from array import array
from typing import Any

from benchmarks.machine import cpu_s, pss_kb

BAD = re.compile(rb"event: (gap|reconnect|degraded|auth_expired)")
MARK = re.compile(rb"#(\d{10})#")


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for letter, name, kind, default in (
        ("P", "port", int, 5000), ("s", "path", str, "/v1/events"), ("p", "post", str, "/"), ("R", "room", str, ""),
        ("c", "streams", int, 0), ("k", "senders", int, 0), ("n", "messages", int, 0), ("r", "rate", float, 0.0),
        ("b", "bytes", int, 200), ("f", "first", int, 1), ("a", "window", int, 64), ("I", "idle_s", int, 0),
        ("S", "stall_s", float, 15.0), ("w", "settle_ms", int, 300), ("T", "tokens", str, ""), ("i", "pids", str, ""),
    ):  # fmt: skip
        parser.add_argument(f"-{letter}", dest=name, type=kind, default=default)
    parser.add_argument("-d", dest="dialect", choices=("dchat", "plain"), default="dchat")
    return parser.parse_args(argv)


class Run:
    """Counts and checks; the connections below report to it."""

    def __init__(self, opt: argparse.Namespace) -> None:
        self.opt = opt
        self.prefix = f'data: {{"type":"message","room":"{opt.room}","seq":'.encode()
        self.counts = dict.fromkeys(
            ("sent", "acked", "refused", "delivered", "out_of_order", "wrong", "interrupted", "closed"), 0
        )
        self.ready = 0
        self.due_at = [0] * opt.messages
        self.acked_in = [0] * opt.messages
        self.seq_of = [0] * opt.messages
        self.message_at: dict[int, int] = {}
        self.latency = array("Q")
        self.moved = asyncio.Event()
        self.last = time.monotonic_ns()

    def touch(self) -> None:
        self.last = time.monotonic_ns()
        self.moved.set()

    @property
    def expected(self) -> int:
        return self.opt.messages * self.opt.streams

    @property
    def done(self) -> bool:
        counts = self.counts
        return counts["acked"] + counts["refused"] >= self.opt.messages and counts["delivered"] >= self.expected

    def wrong_answers(self) -> int:
        if self.opt.dialect == "plain":
            return 0
        faults, told = 0, set()
        for message, seq in enumerate(self.seq_of):
            known = self.opt.first <= seq < self.opt.first + self.opt.messages and seq not in told
            faults += not known or (self.opt.streams > 0 and self.message_at.get(seq) != message)
            told.add(seq)
        return faults

    async def wait(self, condition: Any, what: str) -> bool:
        """Until `condition`; False when nothing moves any more."""
        while not condition():
            self.moved.clear()
            try:
                await asyncio.wait_for(self.moved.wait(), self.opt.stall_s)
            except TimeoutError:
                print(f"nothing comes any more: {what}", file=sys.stderr)
                return False
        return True


class StreamEnd(asyncio.Protocol):
    """One stream."""

    def __init__(self, run: Run, request: bytes) -> None:
        self.run, self.request = run, request
        self.kept = b""
        self.open = False
        self.next = run.opt.first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        run, at = self.run, time.monotonic_ns()
        *lines, self.kept = (self.kept + data).split(b"\n")
        for line in lines:
            if not self.open:
                if line.startswith(b"HTTP/1.1") and line[8:12] != b" 200":
                    fail(f"a stream was refused: {line!r}")
                if not line.startswith(b"event:"):
                    continue
                self.open = True
                run.ready += 1
            if line.startswith(run.prefix):
                self.delivery(line, at)
            elif line.startswith(b'data: {"type":"message"'):
                run.counts["wrong"] += 1
            elif BAD.match(line):
                run.counts["interrupted"] += 1
        run.touch()

    def delivery(self, line: bytes, at: int) -> None:
        run, counts = self.run, self.run.counts
        seq = int(line[len(run.prefix) : line.index(b",", len(run.prefix))])
        counts["out_of_order"] += seq != self.next
        self.next = seq + 1
        counts["delivered"] += 1
        mark = MARK.search(line)
        message = int(mark[1]) if mark else -1
        if not 0 <= message < run.opt.messages or run.message_at.setdefault(seq, message) != message:
            counts["wrong"] += 1
            return
        run.latency.append((at - run.due_at[message]) // 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.counts["closed"] += 1
        self.run.touch()


class Sender(asyncio.Protocol):
    """A keep-alive connection with at most one message under way."""

    def __init__(self, run: Run, token: str, idle: asyncio.Queue[Sender]) -> None:
        self.run, self.idle, self.kept, self.message = run, idle, b"", -1
        opt = run.opt
        self.head = (
            f"POST {opt.post} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: "
        ).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, message: int, due: int) -> None:
        body = b'{"text":"#%010d#%b"}' % (message, b"x" * max(0, self.run.opt.bytes - 12))
        self.message, self.run.due_at[message] = message, due
        self.transport.write(b"%b%d\r\n\r\n%b" % (self.head, len(body), body))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        run, self.kept = self.run, self.kept + data
        head, gap, body = self.kept.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not gap or not length or len(body) < int(length[1]):
            return
        self.kept = b""
        run.acked_in[self.message] = time.monotonic_ns() - run.due_at[self.message]
        if head.startswith(b"HTTP/1.1 201"):
            seq = re.search(rb'"seq":(\d+)', body)
            run.seq_of[self.message] = int(seq[1]) if seq else 0
            run.counts["acked"] += 1
        else:
            if not run.counts["refused"]:
                print(f"refused: {head[:100]!r} {body[:200]!r}", file=sys.stderr)
            run.counts["refused"] += 1
        self.idle.put_nowait(self)
        run.touch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.counts["closed"] += 1
        self.run.touch()


def fail(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    sys.exit(2)


async def work(opt: argparse.Namespace) -> int:
    loop, run = asyncio.get_running_loop(), Run(opt)
    tokens = open(opt.tokens).read().split() if opt.tokens else ["none"]  # noqa: SIM115
    pids = [int(pid) for pid in opt.pids.split(",") if pid]
    pss_idle, cpu_idle, begun = [pss_kb(pid) for pid in pids], [cpu_s(pid) for pid in pids], time.monotonic()
    for number in range(opt.streams):
        request = (
            f"GET {opt.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {tokens[number % len(tokens)]}\r\n\r\n"
        ).encode()
        await run.wait(lambda least=number - opt.window: run.ready > least, "a stream does not open")
        await loop.create_connection(lambda request=request: StreamEnd(run, request), "127.0.0.1", opt.port)
    if not await run.wait(lambda: run.ready >= opt.streams, "streams do not open"):
        fail(f"only {run.ready} of {opt.streams} streams opened")
    open_s = time.monotonic() - begun
    open_cpu = [cpu_s(pid) - before for pid, before in zip(pids, cpu_idle, strict=True)]
    await asyncio.sleep(opt.idle_s + (opt.settle_ms / 1000 if opt.streams and opt.messages else 0))
    pss_open, cpu_idle, own = [pss_kb(pid) for pid in pids], [cpu_s(pid) for pid in pids], time.process_time()
    start = run.last = time.monotonic_ns()
    if opt.messages:
        await send_all(run, tokens)
    cpu = [cpu_s(pid) - before for pid, before in zip(pids, cpu_idle, strict=True)]
    seconds, own = (run.last - start) / 1e9 if opt.messages else 0.0, time.process_time() - own
    if opt.messages and opt.streams:
        await asyncio.sleep(0.1)  # whatever comes beyond what was expected shows itself now
    counts = run.counts
    counts["wrong"] += run.wrong_answers()
    kinds = ("refused", "out_of_order", "wrong", "interrupted", "closed")
    short = (counts["delivered"] != run.expected) + (counts["acked"] != opt.messages)
    faults = sum(counts[kind] for kind in kinds) + short
    answers = sorted(ns // 1000 for ns in run.acked_in[: counts["sent"]])
    result = {
        "generator": "py", "streams": run.ready, **counts, "expected": run.expected, "faults": faults,
        "seconds": seconds, "open_s": open_s, "own_cpu_s": own, "cpu_s": cpu, "open_cpu_s": open_cpu,
        "pss_idle_kb": pss_idle, "pss_open_kb": pss_open,
        "delivery_us": quantiles(sorted(run.latency)), "answer_us": quantiles(answers),
    }  # fmt: skip
    print(json.dumps(result), flush=True)
    return 1 if faults else 0


async def send_all(run: Run, tokens: list[str]) -> None:
    opt, loop = run.opt, asyncio.get_running_loop()
    idle: asyncio.Queue[Sender] = asyncio.Queue()
    for number in range(opt.senders):
        token = tokens[number % len(tokens)]
        _, sender = await loop.create_connection(lambda token=token: Sender(run, token, idle), "127.0.0.1", opt.port)
        idle.put_nowait(sender)
    start = run.last = time.monotonic_ns()
    for message in range(opt.messages):
        due = start + int(message / opt.rate * 1e9) if opt.rate else 0
        if due > time.monotonic_ns():
            await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
        starved = bool(opt.rate) and idle.empty()
        try:
            sender = await asyncio.wait_for(idle.get(), opt.stall_s)
        except TimeoutError:
            break
        run.counts["sent"] += 1
        # A message that had to wait for a free sender counts from when it was due.
        sender.send(message, due if starved else time.monotonic_ns())
    await run.wait(lambda: run.done or run.counts["closed"] > 0, "answers and deliveries")


def quantiles(values: list[int]) -> dict[str, int]:
    parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    last = len(values) - 1
    return {name: values[min(last, int(part * len(values)))] if values else 0 for name, part in parts.items()}


def main() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        from uvloop import run
    except ImportError:
        run = asyncio.run
    return run(work(options(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
