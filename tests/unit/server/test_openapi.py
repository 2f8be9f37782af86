"""The OpenAPI document: complete, well-formed, and in step with routes, error codes and bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from dchat_server import errors, model, wire
from dchat_server.http.openapi import document
from dchat_server.http.routes import ROUTES

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [
    (method.upper(), path, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]
NAMED = [pytest.param(method, path, operation, id=operation["operationId"]) for method, path, operation in OPERATIONS]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema | {"components": DOCUMENT["components"]}, validate_formats=True)


def named(name: str) -> Draft202012Validator:
    return validator({"$ref": f"#/components/schemas/{name}"})


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in the document."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(part)


def test_each_route_is_described_and_nothing_else_is():
    assert {(method, path) for method, path, _ in OPERATIONS} == {(method, path) for method, path, _ in ROUTES}


def test_each_reference_leads_somewhere_and_each_schema_is_used():
    used = {part["$ref"] for part in parts(DOCUMENT) if "$ref" in part}
    used |= {target for part in parts(DOCUMENT) for target in part.get("mapping", {}).values()}
    for reference in used:
        at: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]
    assert {name.rpartition("/")[2] for name in used if "/schemas/" in name} == set(SCHEMAS)


def test_each_schema_is_one():
    for schema in SCHEMAS.values():
        Draft202012Validator(schema | {"components": DOCUMENT["components"]})
    for part in parts(DOCUMENT["paths"]):
        if isinstance(part.get("schema"), dict):
            validator(part["schema"])


def test_each_error_code_can_be_met_in_an_answer():
    told = [part["properties"]["code"] for part in parts(DOCUMENT["paths"]) if "code" in part.get("properties", ())]
    met = {code for choices in told for code in choices["enum"]}
    # These two answer what is no operation: another address, another method, our own mistake.
    assert met | {"method_not_allowed", "internal"} == set(errors.FAILURES)


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_each_operation_says_what_a_stranger_needs(method: str, path: str, operation: dict[str, Any]):
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    in_path = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
    assert in_path == re.findall(r"{(\w+)}", path)
    assert all("example" in each for each in operation.get("parameters", ()) if each["in"] == "path")
    answers = operation["responses"]
    assert any(status.startswith("2") for status in answers)
    assert ("401" in answers) == bool(operation["security"] or operation["operationId"] in ("login", "register"))
    assert ("415" in answers) == ("413" in answers) == ("requestBody" in operation)
    for status, answer in answers.items():
        wanted = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}.get(status)
        assert wanted is None or wanted in answer["headers"]


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_each_example_fits_its_schema(method: str, path: str, operation: dict[str, Any]):
    for each in operation.get("parameters", ()):
        if "example" in each:
            validator(each["schema"]).validate(each["example"])
    for answer in [*operation["responses"].values(), operation.get("requestBody", {})]:
        for content in answer.get("content", {}).values():
            if "example" in content:
                validator(content["schema"]).validate(content["example"])


def test_the_streams_examples_are_events():
    content = DOCUMENT["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]
    told = re.findall("data: (.*)", content["text/event-stream"]["example"])
    told += content["application/x-ndjson"]["example"].splitlines()
    assert len(told) == 4
    for line in told:
        named("Event").validate(json.loads(line))


def test_operations_and_parameters_have_names_of_their_own():
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    for _, _, operation in OPERATIONS:
        keys = [(each["in"], each["name"]) for each in operation.get("parameters", ())]
        assert len(set(keys)) == len(keys)


BODIES: dict[str, dict[str, Any]] = {
    "message": {"text": "Hello", "client_id": "c", "reply_to": 3},
    "edit": {"target": 3, "text": "Hello!"},
    "delete": {"target": 3},
    "reaction": {"target": 3, "emoji": "👍", "action": "add"},
    "member": {"user": "grace", "action": "kick", "role": None},
    "room": {"action": "create", "kind": "public", "topic": "", "display_name": "Lobby"},
}


def test_events_look_as_the_worker_writes_them():
    assert set(BODIES) == set(model.DURABLE_TYPES)
    for kind, body in BODIES.items():
        event = model.Event("lobby", 7, 4, kind, 1_795_413_840_123, wire.fields(sender="ada", **body), 9, 1)
        told = json.loads(wire.event_data(event))
        schema = SCHEMAS[f"{kind.title()}Event"]
        named("Event").validate(told)
        assert set(told) <= set(schema["properties"])
        assert set(schema["required"]) <= set(told)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "nothing"},
        {"type": "ping"},
        {"type": "gap", "rooms": [{"room": "lobby"}], "refetch": True},
        {"type": "read", "room": "No Name", "read": 1, "unread": 0},
    ],
)
def test_what_is_no_event_is_none(wrong: dict[str, Any]):
    assert not named("Event").is_valid(wrong)


def test_a_message_has_a_text_or_is_deleted():
    place = {"id": "lobby:5", "room": "lobby", "seq": 5, "epoch": 1, "ts": "2026-11-23T06:04:00.123Z", "sender": "ada"}
    assert named("Message").is_valid(place | {"text": "Hello"})
    assert named("Message").is_valid(place | {"deleted": True})
    assert not named("Message").is_valid(place)


def test_the_document_is_made_once_and_is_json():
    assert document() is DOCUMENT
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


def test_the_page_needs_nothing_its_policy_forbids_and_makes_no_html_of_text():
    web = resources.files("dchat_server") / "web"
    page, script = ((web / name).read_text("utf-8") for name in ("docs.html", "docs.js"))
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\.style\b|https?://", script)
