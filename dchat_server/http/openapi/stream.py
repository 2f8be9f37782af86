"""The operation `GET /v1/events`: one stream in three forms."""

from __future__ import annotations

from dchat_server.http.events import MAX_POLL_S, MAX_ROOMS, POLL_EVENTS
from dchat_server.http.openapi.build import (
    Json,
    Operation,
    header,
    json_content,
    operation,
    query,
    ref,
    text,
    whole,
    with_headers,
)

TAG = "Stream"

_MESSAGE = (
    '{"type":"message","room":"lobby","seq":5,"epoch":1,"id":"lobby:5","ts":"2026-11-23T06:06:00.250Z",'
    '"sender":"ada","text":"Hello!"'
)
_HELLO = (
    '{"type":"hello","worker":"w1","protocol":1,"time":"2026-11-23T06:06:00.000Z","cursor":"AQQBAAABAAAAAAAmTA",'
    '"rooms":["lobby"]'
)
_SSE = (
    f"event: hello\ndata: {_HELLO}}}\nid: AQQBAAABAAAAAAAmTA\n\nevent: message\ndata: {_MESSAGE}}}\n"
    "id: AQQBAAABAAEAAACqAQ\n\n"
)
_LINES = f'{_HELLO}}}\n{_MESSAGE},"cursor":"AQQBAAABAAEAAACqAQ"}}\n'

_DESCRIPTION = f"""\
The same events with the same cursor in three forms.

`Accept: text/event-stream` (or none): server-sent events, until one side closes. `event:` is the type, `data:` the \
event as one line of JSON, `id:` the cursor to go on from.

`Accept: application/x-ndjson`: each line is one event; the last line of each write also has `cursor`.

`?poll=25`: one JSON answer, at once when something was missed, else when something happens, at the latest after so \
many seconds. At most about {POLL_EVENTS} events; ask again with the `cursor` it gives.

Going on after a break: give the last cursor as `Last-Event-ID` (an `EventSource` does it by itself) or as `cursor`; \
the header wins. Everything that happened meanwhile comes first, then `resumed`. Without either the stream begins \
now, or where `since` says. A cursor the server does not know is not an error: the stream says `gap`.

What is promised: a room's durable events (`message`, `edit`, `delete`, `reaction`, `member`, `room`) come in the \
order of `seq`, without holes and without repeats. Events of one write share one `id:`, on the last of them, so a \
break within a write repeats it: drop an event whose `seq` is not above the last one you saw of that room in \
that `epoch`. What cannot be told any more is announced by `gap`, never passed over in silence.

Without `rooms` the stream carries all rooms one is in and follows joins and leaves while it is open. With `rooms`, \
just those; any account may name public rooms. A reader that does not keep up is closed and resumes by its cursor."""


def operations() -> list[Operation]:
    """All of this part."""
    answer: Json = {
        "description": "The stream.",
        "content": {
            "text/event-stream": {
                "schema": text("Server-sent events; the JSON of each `data:` line is an `Event`."),
                "x-line-schema": ref("Event"),
                "example": _SSE,
            },
            "application/x-ndjson": {
                "schema": text("One `Event` a line."),
                "x-line-schema": ref("Event"),
                "example": _LINES,
            },
        }
        | json_content(ref("PollAnswer"), {"events": [], "cursor": "AQQBAAABAAEAAACqAQ"}),
    }
    stream = operation(
        "GET",
        "/v1/events",
        "events",
        TAG,
        "What happens, as it happens",
        _DESCRIPTION,
        ticket=True,
        parameters=[
            query(
                "rooms",
                text(),
                f"Names of rooms, separated by commas, at most {MAX_ROOMS}; one you may not read is 404.",
                "lobby",
            ),
            query("cursor", ref("StreamCursor"), "Go on after this place."),
            header("Last-Event-ID", ref("StreamCursor"), "The same; it wins over `cursor`."),
            query(
                "since",
                text(
                    anyOf=[{"pattern": "^[0-9]{1,6}[smhd]$"}, {"format": "date-time"}, {"maxLength": 0}],
                    examples=["10m", "2026-11-23T06:00:00Z"],
                ),
                "Without a cursor: begin so long ago (`30s`, `10m`, `2h`, `1d`), or at a time.",
            ),
            query(
                "poll",
                whole("", 0, MAX_POLL_S),
                "Answer once, as JSON, after at most so many seconds; 0: at once.",
            ),
        ],
        answers={200: with_headers(answer, ["Cache-Control", "X-Accel-Buffering"])},
        errors="invalid_request room_not_found not_acceptable too_many_streams overloaded draining",
    )
    return [stream]
