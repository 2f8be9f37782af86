"""What lies deep: pages and replays that come from the archive, beside those from the log."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from redis import Redis

from benchmarks.chatter import LINES, Chatter
from benchmarks.compact import TABLE
from benchmarks.compaction import ANSWER_MS, address, start_endpoint
from benchmarks.history import PAGE, check_text_page, quantile
from benchmarks.load import WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, at_least, at_most, figure
from benchmarks.people import Person
from benchmarks.replay import replay
from benchmarks.setting import NoServer, Process
from benchmarks.suite import SHARDS, Bench
from dchat_server.adapters.redis_keys import Keys

KEEP = 1000
ARCHIVE_S = 300


def deep(bench: Bench) -> list[Figure]:
    """Pages of a long room and a resume after 10,000 missed events, with the archive in SQLite and in DynamoDB."""
    found: list[Figure] = []
    for where in ("SQLite", f"DynamoDB ({ANSWER_MS} ms)"):
        with _worker(bench, where) as (worker, redis):
            pids = {"worker": worker.pid, "Redis": redis.pid}
            found += _pages(bench, where, worker, redis, pids)
            found += _resume(bench, where, worker, redis, pids)
    return found


@contextmanager
def _worker(bench: Bench, where: str) -> Iterator[tuple[Process, Process]]:
    """A worker that archives at once, and the Redis behind it."""
    setting, processes = bench.setting, [bench.setting.start_redis()]
    env = {"DCHAT_DATA_DIR": str(setting.folder / f"deep{bench.number()}")}
    env |= {"DCHAT_COMPACT_INTERVAL_S": "0.2", "DCHAT_COMPACT_KEEP": str(KEEP)}
    try:
        if where != "SQLite":
            processes.append(start_endpoint(bench, ANSWER_MS))
            env |= {"DCHAT_DYNAMODB_TABLE": TABLE, "DCHAT_DYNAMODB_ENDPOINT": address(processes[-1])}
        processes.append(setting.start_worker(redis=processes[0], **env))
        yield processes[-1], processes[0]
    finally:
        for process in processes:
            process.kill()


def wait_archived(redis: Process, room: str, head: int) -> None:
    """Until the leader has archived the room up to `head`."""
    with Redis(port=redis.port, protocol=2) as client:
        deadline = time.monotonic() + ARCHIVE_S
        while int(client.hget(Keys(SHARDS).room(room) + ":meta", "w") or 0) < head:
            if time.monotonic() > deadline:
                raise NoServer(f"{room} was not archived within {ARCHIVE_S} s")
            time.sleep(0.05)


def _pages(bench: Bench, where: str, worker: Process, redis: Process, pids: dict[str, int]) -> list[Figure]:
    sizes, person = bench.sizes, Person(worker.port)
    room = person.create(f"deep{bench.number()}")
    first = person.head(room) + 1
    texts = list(Chatter(LINES).texts(sizes.archived))
    person.fill(room, texts)
    head = first + len(texts) - 1
    wait_archived(redis, room, head)
    chance, many, cut = random.Random(9), sizes.deep_pages, head - KEEP
    middle = first + len(texts) // 2

    def near(seq: int) -> list[int]:
        """Ends of pages around here, no two alike where there are as many."""
        low, high = max(first + PAGE, seq - 20_000), min(cut - PAGE, seq + 20_000)
        return [chance.randrange(low, high) for _ in range(many)]

    ways: tuple[tuple[str, str, Sequence[int]], ...] = (
        ("at the head", "before", [head + 1] * many),
        ("across the seam", "before", [cut + chance.randrange(5, PAGE - 5) for _ in range(many)]),
        ("behind the seam", "before", [max(first + PAGE, cut - chance.randrange(5000)) for _ in range(many)]),
        ("in the middle", "before", near(middle)),
        ("at the start", "after", [first - 1 + chance.randrange(min(1000, len(texts) // 2)) for _ in range(many)]),
        ("around one in the middle", "around", near(middle)),
    )
    found: list[Figure] = []
    times: dict[str, list[float]] = {what: [] for what, _, _ in ways}
    cpu, answers = dict.fromkeys(times, 0.0), []
    for at in range(many):  # in turns: what else the machine does then falls on all of them
        for what, side, seqs in ways:
            path = f"/v1/rooms/{room}/messages?limit={PAGE}&{side}={seqs[at]}"
            clock, start = CpuClock(pids), time.perf_counter()
            answer = person.raw("GET", path)
            times[what].append((time.perf_counter() - start) * 1000)
            cpu[what] += sum(clock.used().values())
            answers.append((answer, side, seqs[at]))
    for answer, side, seq in answers:
        check_text_page(json.loads(answer), texts, first, side, seq)
    shallow = quantile(times["behind the seam"], 0.5)
    for what, took in times.items():
        found += _times(f"{where}: page of {PAGE} {what}", took, f"{cpu[what] * 1e6 / many:.0f} µs CPU")
        if what in ("in the middle", "at the start"):
            ratio = quantile(took, 0.5) / shallow
            found.append(figure(f"{where}: page {what} over one behind the seam", ratio, "×", at_most(1.2)))
    singles = []
    for seq in near(middle):
        start = time.perf_counter()
        message = person.ask("GET", f"/v1/rooms/{room}/messages/{seq}")["message"]
        singles.append((time.perf_counter() - start) * 1000)
        if (message["seq"], message["text"]) != (seq, texts[seq - first]):
            raise WrongResult(f"message {seq} came as {message}")
    person.close()
    return found + _times(f"{where}: one message in the middle", singles, f"of {len(texts):,}")


def _times(what: str, times: Sequence[float], note: str) -> list[Figure]:
    return [
        figure(f"{what}, p50", quantile(times, 0.5), "ms", None, note),
        figure(f"{what}, p99", quantile(times, 0.99), "ms"),
    ]


def _resume(bench: Bench, where: str, worker: Process, redis: Process, pids: dict[str, int]) -> list[Figure]:
    """Events that were missed and are, all but the last thousand, in the archive only."""
    person, missed = Person(worker.port), bench.sizes.missed_in_archive
    room = person.create(f"resume{bench.number()}")
    cursor, heads = person.cursor(), {room: person.head(room)}
    texts = list(Chatter(LINES, room).texts(missed))
    person.fill(room, texts)
    wait_archived(redis, room, heads[room] + missed)
    rate, cpu, split = replay(person, worker, pids, cursor, heads, texts)
    person.close()
    what = f"{where}: resume from the archive"
    return [
        figure(f"{what}: events", rate, "/s", at_least(50_000), f"{missed:,} missed, {KEEP:,} of them in the log"),
        figure(f"{what}: CPU an event", cpu, "µs", None, split),
    ]
