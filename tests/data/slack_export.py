"""A small Slack export, as Slack writes them: a folder, or the same as a ZIP file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

USERS = [
    {"id": "U1", "name": "ada", "profile": {"display_name": "Ada", "real_name": "Ada Lovelace"}},
    {"id": "U2", "name": "bob", "profile": {"display_name": "", "real_name": "Bob"}},
]
CHANNELS = [
    {"id": "C1", "name": "general", "topic": {"value": "all of <@U1>"}, "members": ["U1", "U2"]},
    {"id": "C2", "name": "Große Runde!", "topic": {"value": ""}},
    {"id": "C3", "name": "empty"},
]
GROUPS = [{"id": "G1", "name": "secret", "topic": {"value": ""}}]
DMS = [{"id": "D1", "members": ["U1", "U2"]}]


def message(ts: str, text: str, user: str = "U1", **more: Any) -> dict[str, Any]:
    return {"type": "message", "ts": ts, "user": user, "text": text, **more}


FILES: dict[str, Any] = {
    "users.json": USERS,
    "channels.json": CHANNELS,
    "groups.json": GROUPS,
    "dms.json": DMS,
    "integration_logs.json": [],
    "general/2024-05-01.json": [
        message("1714521600.000100", "<@U1> has joined the channel", subtype="channel_join"),
        message("1714521601.000100", "<@U1> set the channel topic: all", subtype="channel_topic"),
        message("1714521602.000100", "hi <@U2>, see <#C2|x> :tada: 1 &lt; 2", thread_ts="1714521602.000100"),
        message("1714521603.000100", "waves", subtype="me_message", user="U2"),
        message(
            "1714521604.000100",
            "fixed",
            edited={"user": "U1", "ts": "1714521605.000000"},
            reactions=[{"name": "+1::skin-tone-3", "users": ["U2"], "count": 1}, {"name": "x", "count": 2}],
        ),
        message("1714521605.000100", "", files=[{"name": "plan.pdf", "size": 12288}, {"mode": "tombstone"}]),
        {"type": "message", "subtype": "bot_message", "ts": "1714521606.000100", "text": "", "username": "CI",
         "attachments": [{"title": "Build 7", "text": "failed <https://ci.example/7|here>"}]},
        message("1714521607.000100", ""),
        {"type": "message", "ts": "1714521608.000100", "user": "U7", "text": "from elsewhere",
         "user_profile": {"display_name": "Eve"}},
    ],
    "general/2024-05-02.json": [
        message("1714608000.000100", "hi yourself", user="U2", thread_ts="1714521602.000100"),
        message("1714608001.000100", "too", thread_ts="1714521602.000100", subtype="thread_broadcast"),
        message("1714608002.000100", "This message was deleted.", subtype="tombstone", user="USLACKBOT"),
    ],
    "Große Runde!/2024-05-01.json": [message("1714521700.000100", "in the round")],
    "secret/2024-05-01.json": [message("1714521800.000100", "psst")],
    "D1/2024-05-01.json": [message("1714521900.000100", "just us")],
}  # fmt: skip

GENERAL = [
    "[2024-05-01 00:00:01Z] * Ada set the channel topic: all",
    "[2024-05-01 00:00:02Z] Ada: hi @Bob, see #Große Runde! 🎉 1 < 2",
    "[2024-05-01 00:00:03Z] * Bob waves",
    "[2024-05-01 00:00:04Z] Ada: fixed\n(edited) (👍 Bob) (❌ 2 more)",
    "[2024-05-01 00:00:05Z] Ada: (file: plan.pdf, 12 KB) (file: a file)",
    "[2024-05-01 00:00:06Z] CI: Build 7\nfailed here (https://ci.example/7)",
    "[2024-05-01 00:00:08Z] Eve: from elsewhere",
    "[2024-05-02 00:00:00Z] Bob: hi yourself",
    "[2024-05-02 00:00:01Z] Ada: too",
    "[2024-05-02 00:00:02Z] ?: (deleted)",
]
"""The texts that #general becomes."""


def write_folder(folder: Path, files: dict[str, Any] = FILES) -> Path:
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def write_zip(path: Path, files: dict[str, Any] = FILES, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, value in files.items():
            packed.writestr(prefix + name, value if isinstance(value, str | bytes) else json.dumps(value))
    return path
