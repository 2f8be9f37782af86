"""Spans by OpenTelemetry: what is recorded, what a span says, and what a collector can do to us."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from dchat_server.adapters.otel import OtelTracing
from dchat_server.logs import Ration
from dchat_server.tracing import MOST_A_SECOND
from tests.harness.processes import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ASKED = f"00-{TRACE}-00f067aa0ba902b7-01"
UNASKED = f"00-{TRACE}-00f067aa0ba902b7-00"


class Shelf(SpanExporter):
    """Keeps what it is given; `works` says whether it takes it, `gate` when."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.works = True
        self.gate = threading.Event()
        self.gate.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.gate.wait(60)
        self.spans += spans
        return SpanExportResult.SUCCESS if self.works else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing waits here."""


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.gate.set()


async def test_who_asks_is_recorded_and_who_asks_not_to_be_is_not(shelf: Shelf) -> None:
    tracing = OtelTracing("w1", shelf)
    span = tracing.request("GET", ASKED)
    assert span is not None
    assert (span.ids["trace_id"], len(span.ids["span_id"])) == (TRACE, 16)
    assert tracing.request("GET", UNASKED) is None
    span.end(route="/v1/me", status=200, request_id="r-12345")
    await tracing.stop()
    (kept,) = shelf.spans
    assert kept.name == "GET /v1/me"
    assert kept.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/me",
        "http.response.status_code": 200,
        "dchat.request_id": "r-12345",
    }
    assert kept.resource.attributes["service.name"] == "dchat"
    assert kept.resource.attributes["service.instance.id"] == "w1"


async def test_of_those_nobody_decided_about_one_in_a_hundred_is_recorded(shelf: Shelf) -> None:
    tracing = OtelTracing("w1", shelf)
    recorded = sum(tracing.request("GET") is not None for _ in range(2000))
    assert 1 <= recorded <= 100
    await tracing.stop()


@pytest.mark.parametrize("mangled", ["x", "00-0-0-01", f"ff-{TRACE}-00f067aa0ba902b7-01", "0" * 55, "ü" * 55])
async def test_a_header_that_cannot_be_read_is_as_none(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, mangled: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    tracing = OtelTracing("w1", shelf)
    span = tracing.request("GET", mangled, "a=b" * 1000)
    assert span is not None
    assert span.ids["trace_id"] != TRACE
    await tracing.stop()


async def test_the_standards_variables_decide_where_they_are_set(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "town-chat")
    tracing = OtelTracing("w1", shelf)
    for _ in range(5):
        span = tracing.request("GET")
        assert span is not None
        span.end(status=200)
    await tracing.stop()
    assert {span.resource.attributes["service.name"] for span in shelf.spans} == {"town-chat"}
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert OtelTracing("w1", shelf).request("GET", ASKED) is None


async def test_nobody_can_have_more_recorded_than_so_many_a_second(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracing = OtelTracing("w1", shelf)
    monkeypatch.setattr(tracing, "_ration", Ration(MOST_A_SECOND, clock=lambda: 5.0))
    recorded = [tracing.request("GET", ASKED) for _ in range(MOST_A_SECOND + 50)]
    assert sum(span is not None for span in recorded) == MOST_A_SECOND
    await tracing.stop()


async def test_what_a_slow_collector_has_no_room_for_is_dropped_and_counted(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    shelf.gate.clear()
    tracing = OtelTracing("w1", shelf)
    for _ in range(40):
        span = tracing.request("GET", ASKED)
        assert span is not None
        span.end(status=200)
    assert tracing.facts() == {"sent": 0, "failed": 0, "dropped": 24}
    shelf.gate.set()
    await eventually(lambda: tracing.facts()["sent"] == 16, "the others are sent")
    await tracing.stop()


async def test_a_collector_that_fails_is_counted_and_told_once(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.works = False
    tracing = OtelTracing("w1", shelf)
    for failed in range(1, 4):
        span = tracing.request("GET", ASKED)
        assert span is not None
        span.end(status=200)
        await eventually(lambda failed=failed: tracing.facts()["failed"] == failed, "it has failed")
    await tracing.stop()
    assert capsys.readouterr().out.count("traces_not_sent") == 1


async def test_an_end_does_not_wait_for_a_collector_that_hangs(shelf: Shelf) -> None:
    shelf.gate.clear()
    tracing = OtelTracing("w1", shelf)
    span = tracing.request("GET", ASKED)
    assert span is not None
    span.end(status=200)
    await tracing.stop()  # what hangs is for the end of the process
    assert not shelf.spans
