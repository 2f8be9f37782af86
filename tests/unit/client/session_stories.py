"""Runs the stories of tests/golden/session/ on a session; what can be seen after each step, as plain values."""

from __future__ import annotations

from typing import Any

from dchat_client.backoff import Backoff
from dchat_client.errors import StreamBroken
from dchat_client.items import Delivery, Gap, Item, Passing, Resumed, StatusChanged
from dchat_client.position import Bookmark, Position
from dchat_client.session import Attach, Session


class Story:
    """One session, driven step by step, with dice that always fall in the middle."""

    def __init__(self, options: dict[str, Any]) -> None:
        known = dict(options)
        if "bookmark" in known:
            known["bookmark"] = Bookmark.from_json(known["bookmark"])
        self._session = Session(backoff=Backoff(base_s=1.0, cap_s=30.0, dice=lambda: 0.5), **known)
        self._handed: list[Item] = []
        self._committed: set[int] = set()

    def do(self, step: dict[str, Any]) -> dict[str, Any]:
        """Do one step and return what is to be seen then."""
        shown: dict[str, Any] = {}
        session = self._session
        match step["do"]:
            case "connecting":
                shown["attach"] = _attach(session.connecting(step["at"]))
            case "receive":
                try:
                    session.receive("".join(step["bytes"]).encode(), step["at"])
                except StreamBroken:
                    shown["broken"] = True
                shown["items"] = self._take(step.get("commit", True), step.get("recovering", ()))
            case "take":
                shown["items"] = self._take(True, ())
            case "reading":
                session.reading(step["at"])
            case "lost":
                session.lost(step["at"], step["reason"], retry_after_s=step.get("retry_after_s"))
            case "stop":
                session.stop(step["reason"])
            case "commit":
                self._commit(step["item"])
            case "recovered":
                session.recovered(step["message"])
            case "begin":
                session.begin(step["room"], Position(*step["position"]))
            case "rewind":
                session.rewind()
            case other:
                raise AssertionError(f"no story has a step {other!r}")
        status = session.status
        return shown | {
            **session.bookmark.to_json(),
            "status": [status.phase.value, status.retry_in_s, status.reason],
            "deadline": session.deadline,
            "closing": session.closing,
        }

    def uncommitted(self) -> list[int]:
        """Numbers of the items that were handed out and not committed, counted from 0 in this story."""
        return [at for at in range(len(self._handed)) if at not in self._committed]

    def _take(self, commit: bool, recovering: Any) -> list[Any]:
        shown = []
        for item in self._session.items():
            self._handed.append(item)
            shown.append(_shown(item))
            if isinstance(item, Gap):
                for message in recovering:
                    self._session.recovered(message)
            if commit:
                self._commit(len(self._handed) - 1)
        return shown

    def _commit(self, at: int) -> None:
        self._session.commit(self._handed[at])
        self._committed.update(range(at + 1))


def _attach(attach: Attach) -> dict[str, Any]:
    rooms = None if attach.rooms is None else list(attach.rooms)
    return {"rooms": rooms, "cursor": attach.cursor, "since": attach.since}


def _shown(item: Item) -> list[Any]:
    match item:
        case Delivery():
            return ["delivery", item.room, *item.position]
        case Passing():
            return ["passing", item.event["type"]]
        case Gap():
            ranges = [[part.room, part.first, part.last, part.seen and list(part.seen)] for part in item.ranges]
            return ["gap", "announced" if item.announced else "counted", ranges]
        case StatusChanged():
            return ["status", item.status.phase.value, item.hello is not None]
        case Resumed():
            return ["resumed", item.replayed]
    raise AssertionError(f"no story shows {item!r}")
