"""dchat doctor."""

from __future__ import annotations

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


def results(out: str) -> dict[str, str]:
    """What each check came to, by the first word of its name."""
    lines = [line for line in out.splitlines() if not line.startswith("     ")]
    return {line.split()[1].rstrip(":"): line.split()[0] for line in lines}


def test_all_but_the_clock_of_the_past_is_well(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("doctor")
    found = results(ran.out)
    assert found.pop("clock") == "fail"  # the fake server's time stands still
    assert set(found.values()) == {"ok"}
    assert ran.code == 1
    assert "Set the clock" in ran.out


def test_no_server_is_a_3_with_a_next_step(dchat: Dchat, free_port: int) -> None:
    ran = dchat("--url", f"http://127.0.0.1:{free_port}", "doctor")
    assert ran.code == 3
    assert "connection refused" in ran.out
    assert "Is the server running there?" in ran.out


def test_an_unknown_name_is_found_out(dchat: Dchat) -> None:
    ran = dchat("--url", "http://no-such-host.invalid", "doctor")
    assert (ran.code, "spelling" in ran.out) == (3, True)


def test_a_bad_token_is_a_4(dchat: Dchat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCHAT_TOKEN", "wrong")
    ran = dchat("doctor")
    assert (ran.code, "dchat login" in ran.out) == (4, True)


def test_a_bad_configuration_is_a_2(dchat: Dchat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCHAT_URL", "gopher://x")
    assert dchat("doctor").code == 2


def test_a_stream_that_does_not_come_is_found_out(
    dchat: Dchat, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dchat_client.cli.doctor._HELLO_WITHIN_S", 0.3)
    server.faults.streams.append("silent")
    ran = dchat("doctor")
    assert (ran.code, "buffering" in ran.out) == (1, True)


def test_something_else_at_the_address_is_found_out(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("--url", f"{server.url}/prefix", "doctor")
    assert (ran.code, "status 401" in ran.out) == (3, True)
