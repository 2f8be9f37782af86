"""Slack's exports, whole and hostile."""

from __future__ import annotations

import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from dchat_client.imports import slack, tree
from dchat_client.imports.said import Said, UnfitSource, rendered
from dchat_client.imports.slack import SlackChannel, SlackExport, room_name
from tests.data.slack_export import FILES, GENERAL, message, write_folder, write_zip


def said_in(path: Path, name: str = "general") -> list[Said]:
    with SlackExport(path) as export:
        return [said for each in export.conversations if each.name == name for said in SlackChannel(export, each)]


@pytest.mark.parametrize("form", ["folder", "zip", "zip with the folder"])
def test_a_channel_becomes_its_texts_in_order_whatever_it_is_packed_in(tmp_path: Path, form: str) -> None:
    if form == "folder":
        path = write_folder(tmp_path / "export")
    else:
        path = write_zip(tmp_path / "export.zip", prefix="My export/" if "folder" in form else "")
    said = said_in(path)
    assert [rendered(each, mentions=True) for each in said] == GENERAL
    root = said[1].key
    assert [each.answers for each in said] == [None] * 7 + [root, root, None]
    assert len({each.key for each in said}) == len(said)


def test_conversations_say_who_could_see_them(tmp_path: Path) -> None:
    with SlackExport(write_zip(tmp_path / "x.zip")) as export:
        found = {(each.name, each.kind, each.topic, len(each.days)) for each in export.conversations}
        assert found == {
            ("general", "public", "all of @Ada", 2),
            ("Große Runde!", "public", "", 1),
            ("empty", "public", "", 0),
            ("secret", "private", "", 1),
            ("D1", "dm", "", 1),
        }
        channel = SlackChannel(export, export.conversations[0])
        assert (len(list(channel)), channel.left_out, channel.done == channel.total) == (10, 2, True)


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("general", "general"),
        ("Große Runde!", "grosse-runde"),
        ("日本", "room"),
        ("Crème brûlée", "creme-brulee"),
        ("a" * 80, "a" * 32),
        ("../../x", "x"),
    ],
)
def test_a_channels_name_becomes_one_a_room_may_have(name: str, room: str) -> None:
    assert room_name(name) == room


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"users.json": []},
        FILES | {"channels.json": "{}"},
        FILES | {"channels.json": "[{]"},
        FILES | {"general/2024-05-01.json": '[{"type":"message"}'},
        FILES | {"general/2024-05-01.json": "[" * 100_000},
        FILES | {"general/2024-05-01.json": '[{"a":1} {"b":2}]'},
    ],
)
def test_what_is_damaged_is_said_in_words(tmp_path: Path, files: dict[str, object]) -> None:
    with pytest.raises(UnfitSource):
        said_in(write_zip(tmp_path / "x.zip", files))


def test_what_is_no_zip_file_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for raw in (b"", b"PK\x03\x04 nonsense", os.urandom(1000)):
        path.write_bytes(raw)
        with pytest.raises(UnfitSource):
            said_in(path)


def test_values_of_any_other_kind_harm_nothing(tmp_path: Path) -> None:
    odd = [None, 7, "x", [], {}, {"type": "message"}, {"type": "message", "ts": 5}]
    fields = ("user", "text", "subtype", "thread_ts", "edited", "files", "reactions", "attachments", "user_profile")
    odd += [message("1.0", "ok") | {field: value} for field in fields for value in (None, 5, [], {}, [5], [{}], "x")]
    files = FILES | {
        "general/2024-05-01.json": odd,
        "users.json": odd,
        "channels.json": [*odd, {"id": "C1", "name": "general"}],
    }
    for said in said_in(write_zip(tmp_path / "x.zip", files)):
        assert rendered(said)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack, "MAX_DAY_BYTES", 1 << 20)
    bomb = FILES | {"general/2024-05-01.json": "[" + " " * (64 << 20) + "]"}
    path = write_zip(tmp_path / "x.zip", bomb)
    del bomb
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(UnfitSource, match="more than 1 MiB"):
            said_in(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_of_names_is_not_listed_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_FILES", 10)
    many = {f"general/{number}": "" for number in range(20)}
    for path in (write_zip(tmp_path / "x.zip", FILES | many), write_folder(tmp_path / "f", FILES | many)):
        with pytest.raises(UnfitSource, match="more than 10 files"):
            said_in(path)


def test_names_and_links_lead_nowhere_else(tmp_path: Path) -> None:
    outside = json.dumps([message("1.0", "outside")])
    (tmp_path / "2024-05-01.json").write_text(outside)
    channels = [
        {"id": "C1", "name": name}
        for name in ("..", "../..", "/", "", ".", "general/../..", "general", "link", str(tmp_path))
    ]
    names = FILES | {"channels.json": channels}
    folder = write_folder(tmp_path / "folder" / "export", {**names, "a/b.json": "[]"})
    (folder / "link").symlink_to(tmp_path)
    (folder / "general" / "2024-05-09.json").symlink_to(tmp_path / "2024-05-01.json")
    evil = {**names, "../2024-05-01.json": outside, "/2024-05-01.json": outside, "a\\..\\2024-05-01.json": outside}
    for path in (folder, write_zip(tmp_path / "x.zip", evil)):
        with SlackExport(path) as export:
            texts = [said.text for each in export.conversations for said in SlackChannel(export, each)]
        assert "outside" not in texts


def test_an_encrypted_file_is_said_in_words(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip")
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as packed:
        at = packed.getinfo("users.json").header_offset
    raw[at + 6] |= 1  # "encrypted", as the file itself says; then in the directory at the end
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(UnfitSource, match="password"):
        said_in(path)
