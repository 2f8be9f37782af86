"""Traces of two real workers, as a real collector gets them by OTLP over HTTP."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from itertools import repeat

import aiohttp
import orjson
import pytest

from dchat_server.model import shard_of
from tests.harness.collector import Collector, Kept
from tests.harness.crowd import Reader, stop_all
from tests.harness.people import Person, house, new_name
from tests.harness.processes import eventually, free_port
from tests.harness.redis import RedisServer
from tests.harness.workers import Worker, Workers

ROUTE = "/v1/rooms/{room}/messages"
SEND, APPEND, DELIVER = f"POST {ROUTE}", "append to log", "deliver to streams"
SOON = {"DCHAT_TRACES": "yes", "OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def crew(redis: RedisServer, collector: Collector) -> Iterator[Workers]:
    with Workers(redis.url, 2, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **SOON) as workers:
        yield workers


def traceparent(sampled: bool = True) -> tuple[str, str]:
    """A trace's id, and the header by which a caller says that a request belongs to it."""
    trace = secrets.token_hex(16)
    return trace, f"00-{trace}-00f067aa0ba902b7-0{int(sampled)}"


async def spans_of(collector: Collector, trace: str, *names: str) -> dict[str, list[Kept]]:
    """The spans of a trace by their names, once these are there."""

    def all_there() -> bool:
        return Counter(names) <= Counter(span.name for span in collector.spans(trace))

    await eventually(all_there, f"spans are there: {names}")
    found: dict[str, list[Kept]] = {}
    for span in collector.spans(trace):
        found.setdefault(span.name, []).append(span)
    return found


async def listening(person: Person, *rooms: str) -> list[Reader]:
    """A stream of this person at each of the two workers, of these rooms or of all they are in."""
    readers = [Reader(person, worker=number, rooms=rooms or None).start() for number in range(2)]
    for reader in readers:
        await reader.live.wait()
    return readers


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
async def test_one_trace_goes_from_the_request_over_redis_to_the_streams_of_both_workers(
    crew: Workers, collector: Collector, http: aiohttp.ClientSession, kind: str
) -> None:
    (ada, bob), (room,) = await house(http, crew.urls, 2)
    readers = await listening(bob)
    trace, context = traceparent()
    secret = f"nobody-else-reads-this-{secrets.token_hex(4)}"
    headers = {**ada.headers, "traceparent": context, "X-Request-Id": "balancer-4711", "Content-Type": kind}
    body = orjson.dumps({"text": secret})
    async with http.post(f"{crew[0].url}/v1/rooms/{room}/messages", data=body, headers=headers) as answer:
        assert answer.status == 201
    found = await spans_of(collector, trace, SEND, APPEND, DELIVER, DELIVER)
    await stop_all(readers)

    (request,), (append,) = found[SEND], found[APPEND]
    deliveries = found[DELIVER]
    assert request.parent == "00f067aa0ba902b7"
    assert append.parent == request.id
    assert {delivery.parent for delivery in deliveries} == {append.id}
    assert len({delivery.worker for delivery in deliveries}) == 2
    assert request.worker == append.worker
    assert request.began_ns <= append.began_ns <= append.ended_ns <= request.ended_ns
    assert request.facts == {
        "http.request.method": "POST",
        "http.route": ROUTE,
        "http.response.status_code": 201,
        "dchat.request_id": "balancer-4711",
    }
    assert append.facts == {"db.system.name": "redis", "db.operation.batch.size": 1}
    assert [delivery.facts for delivery in deliveries] == [{"dchat.streams": 1}] * 2
    told = b"".join(collector.bodies)
    for private in (secret, ada.token, ada.name, room):
        assert private.encode() not in told


async def test_of_sends_that_share_a_round_trip_each_links_to_the_others_and_has_deliveries_of_its_own(
    redis: RedisServer, crew: Workers, collector: Collector, http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(http, crew.urls, 1)
    # Batches of three go to a room of the same shard that nobody listens to, in the same calls.
    silent = next(name for name in map(new_name, repeat("silent")) if shard_of(name, 16) == shard_of(room, 16))
    await ada.create(silent)
    readers = await listening(ada, room)
    sends = [(*traceparent(), room if number % 2 else silent) for number in range(20)]

    async def send(context: str, where: str) -> None:
        line, kind = b'{"text":"x"}', "application/json" if where == room else "application/x-ndjson"
        headers = {**ada.headers, "traceparent": context, "Content-Type": kind}
        url = f"{crew[0].url}/v1/rooms/{where}/messages"
        async with http.post(url, data=line if where == room else b"\n".join([line] * 3), headers=headers) as answer:
            assert answer.status in (200, 201)

    redis.process.freeze()  # so that they gather
    sending = [asyncio.create_task(send(context, where)) for _, context, where in sends]
    await asyncio.sleep(0.3)
    redis.process.thaw()
    await asyncio.gather(*sending)
    heard = [DELIVER, DELIVER]
    traces = [
        await spans_of(collector, trace, SEND, APPEND, *(heard if where == room else ())) for trace, _, where in sends
    ]
    await stop_all(readers)
    for trace in traces:
        assert {delivery.parent for delivery in trace.get(DELIVER, ())} <= {trace[APPEND][0].id}
    assert sum(DELIVER in trace for trace in traces) == 10
    requests = {span.id for span in collector.spans() if span.name == SEND}
    together = [append for trace in traces if (append := trace[APPEND][0]).links]
    assert together
    for append in together:
        assert append.facts["db.operation.batch.size"] > 1
        assert set(append.links) <= requests - {append.parent}


async def test_who_asks_not_to_be_recorded_is_not_and_health_checks_never_are(
    crew: Workers, collector: Collector, http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(http, crew.urls, 1)
    trace, context = traceparent(sampled=False)
    for number in range(2):
        await ada.must("POST", f"/v1/rooms/{room}/messages", {"text": "x"}, headers={"traceparent": context})
        health, seen = traceparent()
        await ada.must("GET", "/healthz", worker=number, headers={"traceparent": seen})
    last, context = traceparent()
    await ada.must("GET", "/v1/me", headers={"traceparent": context})
    assert await spans_of(collector, last, "GET /v1/me")
    assert not collector.spans(trace) + collector.spans(health)


async def test_lines_of_a_traced_request_name_its_trace(
    redis: RedisServer, crew: Workers, collector: Collector, http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(http, crew.urls, 1)
    await ada.must("POST", f"/v1/rooms/{room}/messages", {"text": "x"}, worker=0)  # which now knows who she is
    trace, context = traceparent()
    redis.process.freeze()
    try:
        answer = await ada.ask(
            "POST", f"/v1/rooms/{room}/messages", {"text": "x"}, worker=0, headers={"traceparent": context}
        )
    finally:
        redis.process.thaw()
    assert answer.code == "backend_unavailable"
    (line,) = [orjson.loads(line) for line in crew[0].log.splitlines() if trace in line]
    assert (line["event"], line["request_id"]) == ("request_refused", answer.json["request_id"])
    found = await spans_of(collector, trace, SEND, APPEND)
    (request,) = found[SEND]
    assert request.failed
    assert line["span_id"] == request.id
    assert any(append.failed for append in found[APPEND])


async def test_a_collector_that_is_away_harms_nobody_and_what_it_misses_is_counted(
    redis: RedisServer, http: aiohttp.ClientSession
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    bounds = {"OTEL_BSP_MAX_QUEUE_SIZE": "64", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "32"}
    worker = Worker(redis.url, 9, OTEL_EXPORTER_OTLP_ENDPOINT=nobody, **SOON, **bounds).start()
    try:
        (ada,), (room,) = await house(http, [worker.url], 1)

        async def dropped() -> bool:
            _, context = traceparent()
            await ada.must("POST", f"/v1/rooms/{room}/messages", {"text": "x"}, headers={"traceparent": context})
            _, text = await asyncio.to_thread(worker.get, "/metrics")
            counts = dict(re.findall(r'dchat_trace_spans_total\{outcome="(\w+)".*\} ([\d.]+)', text))
            return float(counts["dropped"]) > 0 and counts["sent"] == "0.0"

        await eventually(dropped, "spans are dropped")
        assert worker.process is not None
        worker.process.terminate()
        assert await asyncio.to_thread(worker.process.wait) == 0
        assert worker.log.count("traces_not_sent") <= 1
        assert "Traceback" not in worker.log
    finally:
        worker.close()
