"""The vocabulary the OpenAPI document is written in: small functions that return parts of it.

Errors are named by their codes, as `errors.py` has them; which statuses an operation can answer follows from those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dchat_server.errors import FAILURES

Json = dict[str, Any]
Operation = tuple[str, str, Json]
"""Method, path, and what OpenAPI says about the two."""

MAX_SEQ = 2**53 - 1
"""The largest whole number every JSON reader holds exactly."""

_BODY = "invalid_request body_too_large unsupported_media_type"
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


def ref(name: str) -> Json:
    """A schema of `schemas.py` by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def obj(required: str, members: Mapping[str, Json], description: str = "", **more: Any) -> Json:
    """An object. `required`: the names of the members that are always there, separated by spaces."""
    value: Json = {"type": "object", "properties": dict(members)}
    if required:
        value["required"] = required.split()
    if description:
        value["description"] = description
    return value | more


def text(description: str = "", **more: Any) -> Json:
    return _described({"type": "string"}, description) | more


def whole(description: str = "", low: int = 0, high: int = MAX_SEQ, **more: Any) -> Json:
    """A whole number from `low` to `high`."""
    return _described({"type": "integer", "minimum": low, "maximum": high}, description) | more


def number(description: str = "", low: float = 0, high: float = MAX_SEQ, **more: Any) -> Json:
    return _described({"type": "number", "minimum": low, "maximum": high}, description) | more


def flag(description: str = "", **more: Any) -> Json:
    return _described({"type": "boolean"}, description) | more


def word(*choices: str, description: str = "", **more: Any) -> Json:
    """One of these words."""
    value: Json = {"type": "string"}
    value |= {"const": choices[0]} if len(choices) == 1 else {"enum": list(choices)}
    return _described(value, description) | more


def listed(items: Json, description: str = "", **more: Any) -> Json:
    return _described({"type": "array", "items": items}, description) | more


def maybe(schema: Json) -> Json:
    """The same, or null."""
    if "$ref" in schema or "anyOf" in schema:
        rest = {name: value for name, value in schema.items() if name == "description"}
        return {"anyOf": [{k: v for k, v in schema.items() if k not in rest}, {"type": "null"}], **rest}
    return schema | {"type": [schema["type"], "null"]} | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def given(name: str, kind: str = "string") -> Json:
    """An object in which this member is there and not null."""
    return {"properties": {name: {"type": kind}}, "required": [name]}


def seq(description: str) -> Json:
    return ref("Seq") | {"description": description}


def moment(description: str) -> Json:
    return ref("Time") | {"description": description}


def _described(value: Json, description: str) -> Json:
    return value | {"description": description} if description else value


def query(name: str, schema: Json, description: str, example: Any = None) -> Json:
    return _parameter("query", name, schema, description, example)


def header(name: str, schema: Json, description: str, example: Any = None) -> Json:
    return _parameter("header", name, schema, description, example)


def path(name: str, schema: Json, description: str, example: Any) -> Json:
    return _parameter("path", name, schema, description, example) | {"required": True}


def _parameter(where: str, name: str, schema: Json, description: str, example: Any) -> Json:
    value: Json = {"name": name, "in": where, "description": description, "schema": schema}
    return value if example is None else value | {"example": example}


def json_content(schema: Json, example: Any = None) -> Json:
    value: Json = {"schema": schema}
    return {"application/json": value if example is None else value | {"example": example}}


def body(schema: Json, example: Any, *, required: bool = True, **other_types: Json) -> Json:
    """A JSON request body; `other_types` are the contents of further media types, by their subtype."""
    content = json_content(schema, example) | {
        f"application/{name.replace('_', '-')}": value for name, value in other_types.items()
    }
    return {"required": required, "content": content}


def reply(description: str, schema: Json | None = None, example: Any = None, headers: Sequence[str] = ()) -> Json:
    """A response, JSON when there is a schema. `headers` names those of `components.headers`."""
    value: Json = {"description": description}
    if schema is not None:
        value["content"] = json_content(schema, example)
    return with_headers(value, headers)


def with_headers(response: Json, names: Sequence[str]) -> Json:
    if names:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return response


def refusals(codes: Sequence[str]) -> Json:
    """The error responses for these codes, one a status."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(dict.fromkeys(codes), key=lambda code: (FAILURES[code].status, list(FAILURES).index(code))):
        by_status.setdefault(FAILURES[code].status, []).append(code)
    return {str(status): _refusal(status, found) for status, found in by_status.items()}


def _refusal(status: int, codes: Sequence[str]) -> Json:
    lines = [f"`{code}`: {FAILURES[code].title}." for code in codes]
    first = FAILURES[codes[0]]
    example = {
        "type": f"/docs/errors#{first.code}",
        "title": first.title,
        "status": status,
        "detail": f"{first.title}.",
        "code": first.code,
    }
    schema = ref("Problem") | {"properties": {"code": {"enum": list(codes)}, "status": {"const": status}}}
    value: Json = {
        "description": " ".join(lines),
        "content": {"application/problem+json": {"schema": schema, "example": example}},
    }
    return with_headers(value, {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, []))


def operation(
    method: str,
    at: str,
    name: str,
    tag: str,
    summary: str,
    description: str,
    *,
    answers: Mapping[int, Json],
    errors: str = "",
    scope: str | None = "read",
    takes: Json | None = None,
    parameters: Sequence[Json] = (),
    ticket: bool = False,
    asks_redis: bool = True,
) -> Operation:
    """One operation. `name` is its operationId, `errors` its own error codes, separated by spaces; those that
    go with signing in, with a body and with asking the message log are added. `scope`: what the token must
    allow, "" for any token, None when nobody need sign in.
    """
    codes = errors.split()
    if takes is not None:
        codes += _BODY.split()
    if asks_redis:
        codes += ("backend_unavailable", "archive_unavailable")
    security: list[Json] = []
    if scope is not None:
        codes.append("unauthorized")
        if scope:
            codes.append("insufficient_scope")
        if method in _UNSAFE:
            codes.append("bad_origin")
        needed = [scope] if scope else []
        security = [{"bearer": needed}, {"session": needed}] + ([{"ticket": needed}] if ticket else [])
    value: Json = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "security": security,
        "responses": {str(status): answer for status, answer in answers.items()} | refusals(codes),
    }
    if parameters:
        value["parameters"] = list(parameters)
    if takes is not None:
        value["requestBody"] = takes
    return method, at, value
