"""What somebody did in a room, in words: edits, reactions, comings and goings. Pure; the words are cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dchat_client.terminal import clean


def deed(event: Mapping[str, Any]) -> str | None:
    """Return what the sender of a durable event did, as words to follow their name; None where there are none.

    An edit's words have the lines of the text, not cleaned: `clean_lines` is for them.
    """
    target = event.get("target")
    match event.get("type"):
        case "edit":
            return f"changed #{target} to: {event.get('text', '')}"
        case "delete":
            return f"deleted #{target}"
        case "reaction":
            took = "took back" if event.get("action") == "remove" else "reacted with"
            return f"{took} {_text(event, 'emoji')} on #{target}"
        case "member":
            return _membership(event)
        case "room":
            words = {
                "create": "made the room",
                "archive": "archived the room",
                "unarchive": "brought the room back",
            }
            topic = _text(event, "topic")
            about = f", topic: {topic}" if topic else ""
            return words.get(str(event.get("action")), "changed the room") + about
    return None


def _membership(event: Mapping[str, Any]) -> str:
    user, action = _text(event, "user"), event.get("action")
    role = _text(event, "role") or "member"
    if action in ("join", "leave"):
        return {"join": "joined", "leave": "left"}[str(action)]
    if action == "role":
        return f"made {user} {role}"
    return {"invite": f"brought in {user}", "kick": f"removed {user}"}.get(str(action), f"changed {user}")


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return clean(value) if isinstance(value, str) else ""
