"""How far long work is."""

from __future__ import annotations

import pytest

from dchat_client.cli.bar import WIDTH, Progress, bar, span
from dchat_client.cli.face import Face


class Shown(Face):
    """A face that keeps what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def progress(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("done", "total", "share"), [(0, 10, 0.0), (3, 10, 0.3), (10, 10, 1.0), (12, 10, 1.0), (0, 0, 1.0)]
)
def test_a_bar_is_as_full_as_the_work_is_done(done: int, total: int, share: float) -> None:
    shown = bar(done, total)
    assert shown.count("#") == int(share * WIDTH)
    assert shown.count("#") + shown.count(".") == WIDTH
    assert shown.endswith(f"{share:4.0%}")


def test_what_is_left_is_guessed_from_this_run_alone_and_not_too_early() -> None:
    now = [0.0]
    face = Shown()
    progress = Progress(face, clock=lambda: now[0])
    for second, done in ((0, 500), (1, 510), (10, 600)):
        now[0] = second
        progress.show(done, 1000, "messages")
    assert face.lines[1].endswith("51%  messages")
    assert face.lines[2].endswith("60%  messages, 40 s left")


def test_it_is_shown_a_few_times_a_second_however_often_it_is_told() -> None:
    now = [0.0]
    face = Shown()
    progress = Progress(face, clock=lambda: now[0])
    for step in range(1000):
        now[0] = step / 1000
        progress.show(step, 1000, "")
    assert 5 <= len(face.lines) <= 11


def test_a_time_is_told_as_people_say_it() -> None:
    assert [span(seconds) for seconds in (0.44, 59, 200, 7200, 200_000)] == ["0.4 s", "59 s", "3 min", "2 h", "2 d"]
