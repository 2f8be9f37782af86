"""The short way for sends answers as the routes do."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import orjson
import pytest

from tests.harness.people import Answer, Person, house
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.workers import Workers

PLAIN = "application/json"
ROUTED = "application/json; charset=utf-8"
"""Any other content type than the plain one goes the ordinary way."""


async def post(person: Person, room: str, body: bytes, content_type: str, **headers: str) -> Answer:
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {person.token}", **headers}
    async with person.http.post(person.url() + f"/v1/rooms/{room}/messages", data=body, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


def told(answer: Answer) -> Any:
    """The answer without what is each time another."""
    value = answer.json
    for changing in ("id", "seq", "ts"):
        value.get("message", {}).pop(changing, None)
    names = {name.lower() for name in answer.headers} - {"server"}
    return answer.status, answer.headers["Content-Type"].split(";")[0], names, value


@pytest.fixture
def workers() -> Any:
    with RedisServer() as redis, Workers(redis.url, 1) as workers:
        yield workers


async def test_every_send_is_answered_the_same_on_both_ways(workers: Workers, http: aiohttp.ClientSession) -> None:
    (ada, bob), (room,) = await house(http, workers.urls, 2)
    await ada.must("PUT", f"/v1/rooms/{room}/members/{bob.name}", {"role": "reader"})
    stranger = Person(http, workers.urls, ada.name, "dchat_0_" + "x" * 43)
    bodies = [
        b'{"text":"hi"}', b'{"text":""}', b'{"text":7}', b"{", b"[]", b"", b'{"text":"a","client_id":"k"}',
        b'{"text":"a","client_id":"k"}', b'{"text":"b","client_id":"k"}', b'{"text":"hi","reply_to":0}',
        orjson.dumps({"text": "x" * 17_000}), orjson.dumps({"text": "x" * 70_000}),
    ]  # fmt: skip
    for person in (ada, bob, stranger):
        for where in (room, "no-such-room", "UPPER", room + "%2f"):
            for body in bodies:
                routed = told(await post(person, where, body.replace(b'"k"', b'"r"'), ROUTED))
                short = told(await post(person, where, body, PLAIN))
                if "client_id" in short[3].get("message", {}):
                    short[3]["message"]["client_id"] = "r"
                assert short == routed, (person.name, where, body)


async def test_what_came_the_short_way_is_in_the_log(workers: Workers, http: aiohttp.ClientSession) -> None:
    (ada,), (room,) = await house(http, workers.urls, 1)
    answers = await asyncio.gather(*(post(ada, room, b'{"text":"%d"}' % number, PLAIN) for number in range(100)))
    sent = {answer.json["message"]["seq"]: answer.json["message"]["text"] for answer in answers}
    assert {message["seq"]: message["text"] for message in await ada.history(room)} == sent
    assert len(sent) == 100


async def test_a_body_announced_with_expect_is_still_invited(workers: Workers, http: aiohttp.ClientSession) -> None:
    (ada,), (room,) = await house(http, workers.urls, 1)
    answer = await post(ada, room, b'{"text":"hi"}', PLAIN, Expect="100-continue")
    assert answer.status == 201


async def test_sends_are_timed_on_both_ways(workers: Workers, http: aiohttp.ClientSession) -> None:
    (ada,), (room,) = await house(http, workers.urls, 1)

    async def count() -> int:
        text = (await ada.ask("GET", "/metrics")).text.decode()
        (line,) = re.findall(r"^dchat_send_seconds_count\{.*\} (.*)$", text, re.M)
        return int(float(line))

    before = await count()
    for content_type in (PLAIN, ROUTED):
        assert (await post(ada, room, b'{"text":"hi"}', content_type)).status == 201
        assert await count() == before + 1
        before += 1
    assert (await post(ada, room, b'{"text":""}', PLAIN)).status == 400
    assert (await post(ada, "none", b'{"text":"hi"}', ROUTED)).status == 404
    assert await count() == before, "what was refused says nothing about how long sends take"


async def test_each_answer_names_its_request_and_the_log_knows_it(http: aiohttp.ClientSession) -> None:
    with RedisServer() as redis, Workers(redis.url, 1) as workers:
        (ada,), (room,) = await house(http, workers.urls, 1)
        sent = [await post(ada, room, b'{"text":"hi"}', form) for form in (PLAIN, ROUTED)]
        sent += [await post(ada, room, body, form) for form in (PLAIN, ROUTED) for body in (b"{", b"")]
        sent += [await ada.ask("GET", path) for path in ("/v1/me", "/v1/rooms/nowhere", "/nowhere", "/healthz", "/")]
        ids = [answer.headers["X-Request-Id"] for answer in sent]
        assert len(set(ids)) == len(ids)

        mine = {"X-Request-Id": "balancer/4711"}
        assert (await post(ada, room, b'{"text":"hi"}', PLAIN, **mine)).headers["X-Request-Id"] == "balancer/4711"
        async with http.get(ada.url() + "/v1/events", headers=ada.headers | mine) as stream:
            assert stream.headers["X-Request-Id"] == "balancer/4711"

        redis.process.kill()
        refused: Answer = await eventually(lambda: refusal_of(ada), "streams are refused")
        named = refused.json["request_id"]
        assert named == refused.headers["X-Request-Id"]
        (line,) = [line for line in workers[0].log.splitlines() if named in line]
        assert orjson.loads(line)["event"] == "request_refused"
        assert orjson.loads(line)["request_id"] == named


async def refusal_of(person: Person) -> Answer | None:
    """The answer to a stream that is refused."""
    async with person.http.get(person.url() + "/v1/events", headers=person.headers) as response:
        return Answer(response.status, response.headers, await response.read()) if response.status == 503 else None
