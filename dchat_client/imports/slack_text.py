"""Slack's markup as plain text: who <@U123> is, which channel <#C123>, and what stands behind a link. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dchat_client.emoji import with_emoji

# Entities may not nest, and "<" in what people typed comes as "&lt;".
_ENTITY = re.compile(r"<([^<>\n]{1,8192})>")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def plain(text: str, users: Mapping[str, str], channels: Mapping[str, str]) -> str:
    """Return `text` as a person reads it. `users` and `channels` are id → name; what is not known stays as its id."""
    parts = _CODE.split(text)
    # Split by one group: what lies at odd places is code, where :names: are no emoji.
    return "".join(_part(part, users, channels, is_code=at % 2 == 1) for at, part in enumerate(parts))


def _part(text: str, users: Mapping[str, str], channels: Mapping[str, str], *, is_code: bool) -> str:
    found, at = [], 0
    for entity in _ENTITY.finditer(text):
        found += [_typed(text[at : entity.start()], is_code), _unescaped(_entity(entity[1], users, channels))]
        at = entity.end()
    return "".join([*found, _typed(text[at:], is_code)])


def _typed(text: str, is_code: bool) -> str:
    return _unescaped(text if is_code else with_emoji(text))


def _unescaped(text: str) -> str:
    for escape, char in _ESCAPES:  # "&amp;" last, so that "&amp;lt;" becomes "&lt;"
        text = text.replace(escape, char)
    return text


def _entity(body: str, users: Mapping[str, str], channels: Mapping[str, str]) -> str:
    target, bar, label = body.partition("|")
    match target[:1]:
        case "":
            return f"<{body}>"
        case "@":
            return "@" + (users.get(target[1:]) or label or target[1:])
        case "#":
            return "#" + (channels.get(target[1:]) or label or target[1:])
        case "!":
            return _special(target[1:], label)
    address = target.removeprefix("mailto:").removeprefix("tel:")
    if not bar or label in ("", target, address) or target.removesuffix("/").endswith(f"://{label}"):
        return address
    return f"{label} ({address})"


def _special(command: str, label: str) -> str:
    """<!here>, <!subteam^S1|@ops>, <!date^…|yesterday>."""
    if label:
        return label
    return f"@{command.partition('^')[0]}"
