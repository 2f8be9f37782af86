"""Log lines: complete, on one line each, and without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import pytest
import structlog

from dchat_server import logs

TOKEN = "dchat_7_" + "aB3-_xyz" * 5 + "abc"


def lines(form: str, level: str = "info") -> tuple[io.StringIO, structlog.typing.FilteringBoundLogger]:
    stream = io.StringIO()
    logs.start(level, form, stream=stream, worker="w1")
    return stream, logs.logger()


def test_json_lines_hold_what_was_given():
    stream, log = lines("json")
    with logs.bind(request_id="r-1"):
        log.warning("feed connection lost", shard=3, error="gone", ratio=0.5, path=None)
    log.info("after")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "worker": "w1",
        "level": "warning",
        "event": "feed connection lost",
        "shard": 3,
        "error": "gone",
        "ratio": 0.5,
        "path": None,
        "request_id": "r-1",
    }
    assert "request_id" not in second


def test_text_lines_are_for_people():
    stream, log = lines("text")
    log.warning("feed connection lost", shard=3, error="it is gone")
    line = stream.getvalue()
    assert " warning  feed connection lost" in line
    assert 'shard=3 error="it is gone"' in line
    assert line.endswith("\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_others_wrote_cannot_forge_a_line(form):
    stream, log = lines(form)
    log.info("refused", name='x"\n2026-01-01 info all is well\x1b[2J\u2028\ud800')
    log.info("broken\nline")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_do_not_reach_the_log(form):
    stream, log = lines(form)
    try:
        raise ValueError(f"could not reach redis://user:hunter2@10.0.0.5:6379 with {TOKEN}")
    except ValueError:
        log.exception("failed")
    log.info(f"Authorization: Bearer {TOKEN}", path=f"/v1/events?ticket={TOKEN[:20]}&x=1", token="hunter2")
    log.info("headers", headers={"Cookie": TOKEN}, new_password="hunter2", nested=[b"x", TOKEN])
    logging.getLogger("aiohttp").warning("GET %s", f"/v1/events?ticket={TOKEN}")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "aB3-_xyz" not in text
    assert "10.0.0.5:6379" in text, "what is no secret stays"
    assert "ValueError" in text
    assert "x=1" in text


def test_quieter_lines_are_left_out():
    stream, log = lines("text", "warning")
    log.info("unimportant")
    log.warning("important")
    logging.getLogger("asyncio").info("chatter")
    assert stream.getvalue().count("\n") == 1


def test_a_librarys_error_comes_with_its_traceback():
    stream, _ = lines("json")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("aiohttp.server").exception("Error handling request")
    line = json.loads(stream.getvalue())
    assert line["logger"] == "aiohttp.server"
    assert "ZeroDivisionError" in line["exception"]


def test_an_exception_that_is_passed_comes_with_its_traceback():
    stream, log = lines("json")
    log.error("failed", exc_info=ZeroDivisionError("none left"))
    log.info("fine", exc_info=None)
    failed, fine = (json.loads(line) for line in stream.getvalue().splitlines())
    assert failed["exception"].endswith("ZeroDivisionError: none left")
    assert "exc_info" not in failed
    assert "exception" not in fine


async def test_lines_carry_the_id_of_the_request_their_task_serves():
    stream, log = lines("json")

    async def shared():
        log.info("shared")

    token = logs.request_id.set("r-12345")
    log.info("mine")
    await asyncio.create_task(shared())
    await logs.nobodys_task(shared())
    logs.request_id.reset(token)
    log.info("after")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("request_id") for line in told] == ["r-12345", "r-12345", None, None]


def test_a_ration_gives_so_many_a_second_and_counts_the_rest():
    now = [5.0]
    ration = logs.Ration(2, clock=lambda: now[0])
    assert [ration.take() for _ in range(4)] == [True, True, False, False]
    assert ration.skipped == 2
    now[0] = 6.5
    assert ration.take()


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize("closed", [False, True])
def test_a_line_that_cannot_be_written_is_nobodys_failure(closed: bool) -> None:
    stream = Full()
    if closed:
        stream.close()
    logs.start(stream=stream)
    logs.logger().error("the disk is full")
    logging.getLogger("a_driver").error("it is")
