"""What a worker remembers of tokens, and for how long."""

from __future__ import annotations

import pytest

from dchat_server.principals import AGE_S, BLIND_S, UNKNOWN_S, Principal, Principals
from dchat_server.tokens import digest


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def somebody(token: str, expires_at: int | None = None) -> Principal:
    return Principal("ada", False, frozenset({"read"}), digest(token), "id", expires_at, "Ada")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> Principals:
    return Principals(most=3, clock=clock, wall=clock)


def test_a_token_is_known_for_a_minute(memory: Principals, clock: Clock) -> None:
    assert memory.peek("t") is None
    assert memory.learn(somebody("t"))
    clock.now += AGE_S - 0.01
    assert memory.peek("t") == memory.at(digest("t")) == somebody("t")
    clock.now += 0.01
    assert memory.peek("t") is None


def test_while_the_feed_is_not_read_only_what_is_seconds_old_is_believed(memory: Principals, clock: Clock) -> None:
    memory.learn(somebody("t"))
    clock.now += BLIND_S
    memory.trust(False)
    assert memory.peek("t") is None
    memory.learn(somebody("u"))
    assert memory.peek("u")
    memory.trust(True)
    assert memory.peek("t")


def test_a_token_is_not_known_beyond_its_end(memory: Principals, clock: Clock) -> None:
    memory.learn(somebody("t", expires_at=int((clock.now + 5) * 1000)))
    clock.now += 4.9
    assert memory.peek("t")
    clock.now += 0.11
    assert memory.peek("t") is None


def test_a_revoked_token_is_never_learned_again(memory: Principals, clock: Clock) -> None:
    memory.learn(somebody("t"))
    memory.revoke([digest("t"), digest("u")])
    assert memory.peek("t") is None
    assert memory.is_revoked(digest("u"))
    assert memory.is_unknown(digest("u"))
    assert not memory.learn(somebody("t"))  # a look-up that had begun before
    assert memory.peek("t") is None
    clock.now += AGE_S - 1
    memory.sweep()
    assert not memory.learn(somebody("t"))


def test_an_unknown_token_is_asked_for_again_after_a_moment(memory: Principals, clock: Clock) -> None:
    memory.learn_unknown(digest("t"))
    assert memory.is_unknown(digest("t"))
    clock.now += UNKNOWN_S
    assert not memory.is_unknown(digest("t"))


def test_the_oldest_gives_way(memory: Principals, clock: Clock) -> None:
    for token in "abc":
        memory.learn(somebody(token))
        clock.now += 1
    memory.learn(somebody("a"))
    memory.learn(somebody("d"))
    assert [token for token in "abcd" if memory.peek(token)] == ["a", "c", "d"]
    for number in range(100):
        memory.learn_unknown(str(number))
        memory.revoke([str(number)])
    assert len(memory._unknown) == len(memory._revoked) == 3


def test_a_sweep_lets_go_of_what_is_not_believed_any_more(memory: Principals, clock: Clock) -> None:
    memory.learn(somebody("a"))
    memory.learn_unknown("x")
    memory.revoke(["y"])
    clock.now += 30
    memory.learn(somebody("b"))
    clock.now += 31
    memory.sweep()
    assert list(memory._known) == [digest("b")]
    assert not memory._unknown
    assert not memory._revoked


def test_what_changed_is_looked_up_again(memory: Principals) -> None:
    for token in "ab":
        memory.learn(somebody(token))
    memory.drop([digest("a"), "unknown"])
    assert memory.peek("a") is None
    assert memory.peek("b")
    memory.clear()
    assert memory.peek("b") is None
    assert memory.learn(somebody("a"))


def test_any_text_can_be_looked_up(memory: Principals) -> None:
    assert memory.peek("\udcff\ud800") is None
