"""The OpenAPI document against a server that runs: whatever is sent, the answer is one the document names.

Schemathesis makes requests from the document, well-formed and broken ones, always the same. It checks that there is
no 5xx, no status, media type or header that is not in the document, that answers match their schema, that nothing is
done without a token, and that no broken request is taken for a good one.
"""

from __future__ import annotations

import copy
import itertools
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema_rs import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from dchat_server.http.openapi import document
from tests.harness.redis import RedisServer
from tests.harness.workers import Worker

PASSWORD = "correct horse"
NDJSON = "application/x-ndjson"
EXAMPLES = 40

SCHEMA_CANNOT_SAY = {
    "addReaction": "what kind of character: assigned, printable",
    "removeReaction": "the same",
    "createToken": "in the future",
    "events": "like the rest: a leap second is a time to a schema",
    "listMessages": "one of three parameters",
    "listMembers": "a cursor the server gave out",
    "listRooms": "the same",
    "listUsers": "the same",
    "openDm": "at most 16 people, oneself among them",
    "sendMessage": "printable, and bytes instead of characters",
    "editMessage": "the same",
}
"""Operations that may refuse what their schema takes, and why: what they ask for beside it is in their description."""


@schemathesis.serializer(NDJSON)
def write_lines(ctx: Any, value: Any) -> bytes:
    """A list as JSON lines; anything else as one line."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in (value if isinstance(value, list) else [value]))


@schemathesis.deserializer(NDJSON)
def read_lines(ctx: Any, response: Any) -> list[Any]:
    return [json.loads(line) for line in response.content.splitlines()]


def lines_as_lists(value: Any) -> Any:
    """The document with JSON lines as what they stand for: OpenAPI 3.1 has no schema for a line."""
    if isinstance(value, dict):
        if "x-line-schema" in value:
            return {"schema": {"type": "array", "minItems": 1, "items": value["x-line-schema"]}}
        return {name: lines_as_lists(part) for name, part in value.items()}
    return [lines_as_lists(part) for part in value] if isinstance(value, list) else value


def closed(value: Any) -> Any:
    """The document with the objects of answers closed: a member that it does not name is an error."""
    value = copy.deepcopy(value)
    for name, schema in value["components"]["schemas"].items():
        if name not in ("Draft", "Problem") and "properties" in schema:
            schema["additionalProperties"] = False
    return value


schema = schemathesis.openapi.from_dict(closed(lines_as_lists(document())))
schema.config.generation.update(with_security_parameters=False, deterministic=True)
schema.config.checks.negative_data_rejection.expected_statuses += ["413"]


class World:
    """A running server with two people, and for each operation under test a room of its own."""

    def __init__(self, url: str) -> None:
        self.url, self.http = url, requests.Session()
        self._numbers = itertools.count()
        for name in ("ada", "grace"):
            self.ask("POST", "/v1/register", {"username": name, "password": PASSWORD}, signed=False)
        self.token = self.room = self.cursor = ""
        self.seen: set[int] = set()

    def ask(self, method: str, path: str, body: Any = None, *, signed: bool = True) -> Any:
        """The JSON of an answer that must be a good one."""
        headers = {"Authorization": f"Bearer {self.token}"} if signed else {}
        with self.http.request(method, self.url + path, headers=headers, json=body, timeout=20) as response:
            self.http.cookies.clear()
            response.raise_for_status()
            return response.json() if response.content else None

    def sign_in(self) -> None:
        found = self.ask("POST", "/v1/login", {"username": "ada", "password": PASSWORD}, signed=False)
        self.token = found["token"]

    def furnish(self) -> None:
        """A new room: 1 made, 2 ada joins, 3 grace is invited, 4 to 6 messages, 7 a reaction, 8 a deletion."""
        self.sign_in()
        self.room = f"room-{next(self._numbers)}"
        room = f"/v1/rooms/{self.room}"
        self.cursor = self.ask("GET", "/v1/sync")["cursor"]
        self.ask("POST", "/v1/rooms", {"room": self.room})
        self.ask("PUT", room + "/members/grace")
        for text in ("one", "two", "three"):
            self.ask("POST", room + "/messages", {"text": text})
        self.ask("PUT", room + "/messages/5/reactions/+1")
        self.ask("DELETE", room + "/messages/6")

    def aim(self, case: Case) -> None:
        """Let most requests that are well-formed so far name things that exist: chance finds none."""
        chance = zlib.crc32(repr((case.path_parameters, case.query, case.headers, case.body)).encode())
        case.freeze_metadata()  # what is put in below is as well-formed as what it replaces
        components = case.meta.components if case.meta is not None else {}

        def well_formed(where: ParameterLocation) -> bool:
            return where not in components or components[where].mode is GenerationMode.POSITIVE

        if case.path_parameters and well_formed(ParameterLocation.PATH) and chance % 5:
            known = {"room": self.room, "user": ("me", "grace")[chance % 2], "seq": 4 + chance % 4}
            case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
            if "id" in case.path_parameters:
                made = self.ask("POST", "/v1/tokens", {"name": "bot", "scopes": ["read"]})
                case.path_parameters["id"] = made["info"]["id"]
        query = case.query
        if query and well_formed(ParameterLocation.QUERY) and chance % 4:
            if "cursor" in query:
                query["cursor"] = self.cursor if case.path == "/v1/events" else self.next_of(case.path)
            if "rooms" in query:
                query["rooms"] = self.room
        if case.path == "/v1/cluster/drain" and isinstance(case.body, dict) and well_formed(ParameterLocation.BODY):
            # The one worker there is; drained, it would refuse what comes next.
            case.body |= {"worker": self.ask("GET", "/v1/cluster")["worker"], "undo": True}
        if case.path == "/v1/events":
            query = case.query = dict(query or {})
            if str(query.get("poll", "60")).isdigit():
                query["poll"] = int(chance % 50 == 0)  # a stream would not end, a long poll would take its time
        if isinstance(case.body, dict | list):
            case.body = plain(case.body)

    def next_of(self, path: str) -> str:
        """The cursor of a list's second page."""
        return str(self.ask("GET", path.format(room=self.room) + "?limit=1")["next"])


def plain(value: Any) -> Any:
    """Whole numbers as such: 7.0 is one to a schema, and to nobody who writes JSON."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with RedisServer() as redis:
        worker = Worker(redis.url)
        try:
            yield World(worker.start().url)
        finally:
            worker.close()


@pytest.fixture
def furnished(world: World) -> Iterator[World]:
    world.furnish()
    world.seen.clear()
    yield world
    assert any(200 <= status < 300 for status in world.seen), "no request came through: nothing was tested"


# The stream for dashboards has no form that ends by itself, see test_a_dashboards_stream_holds_documented_events.
@schema.exclude(operation_id="clusterEvents").parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_the_document_names(case: Case, furnished: World) -> None:
    operation = case.operation.definition.raw["operationId"]
    if operation in ("logout", "changeMe"):
        furnished.sign_in()  # the request before may have ended the token
    furnished.aim(case)
    passed_over: list[CheckFunction] = [positive_data_acceptance] if operation in SCHEMA_CANNOT_SAY else []
    modes = [part.mode for part in case.meta.components.values()] if case.meta is not None else []
    if case.media_type == NDJSON or GenerationMode.NEGATIVE not in modes:
        # A broken line is refused in the answer's own line. And what was well-formed counts as broken once `aim` has
        # touched it, when it is measured again in its encoded form.
        passed_over.append(negative_data_rejection)
    response = case.call_and_validate(
        base_url=furnished.url,
        session=furnished.http,
        headers={"Authorization": f"Bearer {furnished.token}"},
        excluded_checks=passed_over,
    )
    furnished.seen.add(response.status_code)


EVENT = Draft202012Validator(
    {"$ref": "#/components/schemas/Event", "components": document()["components"]}, validate_formats=True
)


def stream(world: World, query: str = "", accept: str = "text/event-stream") -> requests.Response:
    headers = {"Authorization": f"Bearer {world.token}", "Accept": accept}
    return world.http.get(world.url + "/v1/events" + query, headers=headers, stream=True, timeout=20)


def test_a_stream_of_server_sent_events_holds_documented_events(furnished: World) -> None:
    with stream(furnished, f"?cursor={furnished.cursor}&rooms={furnished.room}") as response:
        furnished.seen.add(response.status_code)
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        told = []
        for line in response.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                EVENT.validate(told[-1])
                if told[-1]["type"] == "resumed":
                    break
    happened = ["room", "member", "member", "message", "message", "message", "reaction", "delete"]
    assert [event["type"] for event in told] == ["hello", *happened, "resumed"]


def test_a_stream_of_json_lines_holds_documented_events(furnished: World) -> None:
    with stream(furnished, f"?cursor={furnished.cursor}", "application/x-ndjson") as response:
        furnished.seen.add(response.status_code)
        assert response.headers["Content-Type"].startswith("application/x-ndjson")
        told = []
        for line in response.iter_lines(chunk_size=1):
            told.append(json.loads(line))
            EVENT.validate(told[-1])
            if told[-1]["type"] == "resumed":
                break
    assert told[-1]["replayed"] == 8


CLUSTER_EVENT = Draft202012Validator(
    {"$ref": "#/components/schemas/ClusterEvent", "components": document()["components"]}, validate_formats=True
)


def test_a_dashboards_stream_holds_documented_events(world: World) -> None:
    world.sign_in()
    headers = {"Authorization": f"Bearer {world.token}"}
    with world.http.get(world.url + "/v1/cluster/events", headers=headers, stream=True, timeout=20) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache, no-transform"
        told = []
        for line in response.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                CLUSTER_EVENT.validate(told[-1])
                if len(told) == 4:
                    break
    assert [event["type"] for event in told[:2]] == ["hello", "stats"]


@pytest.mark.parametrize(
    ("query", "accept", "status", "code"),
    [
        ("", "text/html", 406, "not_acceptable"),
        ("?rooms=nowhere", "*/*", 404, "room_not_found"),
        ("?rooms=,", "*/*", 400, "invalid_request"),
        ("?since=tomorrow", "*/*", 400, "invalid_request"),
        ("?poll=61", "*/*", 400, "invalid_request"),
    ],
)
def test_a_stream_that_cannot_be_is_refused_as_documented(
    world: World, query: str, accept: str, status: int, code: str
) -> None:
    world.sign_in()
    documented = document()["paths"]["/v1/events"]["get"]["responses"][str(status)]["content"]
    with stream(world, query, accept) as response:
        assert response.status_code == status
        assert response.headers["Content-Type"].startswith("application/problem+json")
        assert response.json()["code"] == code
    assert code in documented["application/problem+json"]["schema"]["properties"]["code"]["enum"]


def test_a_ticket_opens_one_stream(world: World) -> None:
    world.sign_in()
    ticket = world.ask("POST", "/v1/tickets")["ticket"]
    address = f"{world.url}/v1/events?poll=0&ticket={ticket}"
    assert [world.http.get(address, timeout=20).status_code for _ in range(2)] == [200, 401]
