"""The operations on rooms and their members, and the snapshot."""

from __future__ import annotations

from dchat_server.http.openapi.build import (
    Operation,
    body,
    flag,
    given,
    listed,
    maybe,
    number,
    obj,
    operation,
    path,
    query,
    ref,
    reply,
    text,
    whole,
    word,
)
from dchat_server.http.openapi.schemas import ROOM_EXAMPLE, USER_EXAMPLE, line
from dchat_server.rooms import MAX_DM_USERS

TAG = "Rooms"
ROOM = path("room", ref("Name"), "The room's name.", "lobby")

_CURSOR = "AQQBAAABAAAAAAAmTA"
_ANSWER = {"room": ROOM_EXAMPLE}
_DM = ROOM_EXAMPLE | {
    "room": "dm-3f2a9c0d1e4b5a6978c0ffee",
    "kind": "dm",
    "display_name": "ada, grace",
    "topic": "",
    "role": "member",
    "users": ["ada", "grace"],
}
_TOPIC = line("What the room is about; one line, at most 1,000 characters.", 1000, with_space=2000)
_DISPLAY = line("The name to show; one line, at most 100 characters; empty: the room's name.", 100, with_space=200)
_RETENTION = number("Days that messages are kept here; 0: as long as the server keeps them.", 0, 36_500)
_ONE = "A room one may not see answers exactly like one that does not exist: 404 `room_not_found`."


def _all() -> list[Operation]:
    return [
        operation(
            "GET",
            "/v1/rooms",
            "listRooms",
            TAG,
            "Rooms one may see",
            "All public ones and those one is in, by name, a page at a time.",
            parameters=[
                query("joined", text(), "`1` or `true`: only rooms one is in. Anything else: all.", "1"),
                query("query", text(), "Only rooms whose name begins with this, in any case."),
                query("limit", whole("", 1, 200, default=100), "Rooms on a page."),
                query("cursor", ref("ListCursor"), "The `next` of the page before."),
            ],
            answers={
                200: reply(
                    "A page of rooms.",
                    obj(
                        "rooms next",
                        {
                            "rooms": listed(ref("Room")),
                            "next": maybe(ref("ListCursor") | {"description": "null at the end."}),
                        },
                    ),
                    {"rooms": [ROOM_EXAMPLE], "next": None},
                )
            },
            errors="invalid_request bad_cursor",
        ),
        operation(
            "POST",
            "/v1/rooms",
            "createRoom",
            TAG,
            "Make a room",
            "One becomes its owner. Its creation is event 1 of the room, one's joining event 2.",
            scope="write",
            takes=body(
                obj(
                    "room",
                    {
                        "room": ref("Name") | {"not": {"pattern": "^dm-[0-9a-f]{24}$"}},
                        "kind": word("public", "private", default="public", description="Who may read and join it."),
                        "topic": maybe(_TOPIC),
                        "display_name": maybe(_DISPLAY),
                    },
                ),
                {"room": "lobby", "kind": "public", "topic": "Everybody's room"},
            ),
            answers={201: reply("The room.", ref("RoomAnswer"), _ANSWER)},
            errors="room_taken too_many_rooms room_not_found",
        ),
        operation(
            "POST",
            "/v1/dms",
            "openDm",
            TAG,
            "The direct conversation with these people",
            "The same people always get the same room. One is in it oneself, named or not. Nobody can leave or join it "
            "later.",
            scope="write",
            takes=body(
                obj(
                    "users",
                    {
                        "users": listed(
                            ref("Name"),
                            f"The people; with oneself at most {MAX_DM_USERS}.",
                            minItems=1,
                            maxItems=MAX_DM_USERS,
                        )
                    },
                ),
                {"users": ["grace"]},
            ),
            answers={
                200: reply("There was one already.", ref("RoomAnswer"), {"room": _DM}),
                201: reply("A new one.", ref("RoomAnswer"), {"room": _DM}),
            },
            errors="user_not_found room_not_found",
        ),
        operation(
            "GET",
            "/v1/sync",
            "sync",
            TAG,
            "Everything a client needs to begin, in one answer",
            "Oneself, the rooms one is in with their unread counts, and the cursor from which `GET /v1/events` goes on "
            "without a hole. What happened while this was put together may be told again by the stream; its seq tells.",
            answers={
                200: reply(
                    "The snapshot.",
                    obj(
                        "user rooms cursor",
                        {"user": ref("User"), "rooms": listed(ref("Room")), "cursor": ref("StreamCursor")},
                    ),
                    {"user": USER_EXAMPLE, "rooms": [ROOM_EXAMPLE], "cursor": _CURSOR},
                )
            },
        ),
    ]


def _one() -> list[Operation]:
    return [
        operation(
            "GET",
            "/v1/rooms/{room}",
            "getRoom",
            TAG,
            "One room",
            _ONE,
            parameters=[ROOM],
            answers={200: reply("The room.", ref("RoomAnswer"), _ANSWER)},
            errors="room_not_found",
        ),
        operation(
            "PATCH",
            "/v1/rooms/{room}",
            "changeRoom",
            TAG,
            "Change a room",
            "Topic and display name: moderators and owners, in a `dm` everybody. `archived`: owners; `false` brings "
            "the room back. `retention_days`: owners; messages older than that are given up, 0 is as the server says. "
            "Administrators of the server may, too. What is absent or null stays; give at least one.",
            scope="write",
            parameters=[ROOM],
            takes=body(
                obj(
                    "",
                    {
                        "topic": maybe(_TOPIC),
                        "display_name": maybe(_DISPLAY),
                        "archived": maybe(flag("Whether the room is closed for writing.")),
                        "retention_days": maybe(_RETENTION),
                    },
                    anyOf=[
                        given("topic"),
                        given("display_name"),
                        given("archived", "boolean"),
                        given("retention_days", "number"),
                    ],
                ),
                {"topic": "What we do today"},
            ),
            answers={200: reply("The room as it is now.", ref("RoomAnswer"), _ANSWER)},
            errors="room_not_found not_a_member forbidden room_archived",
        ),
        operation(
            "DELETE",
            "/v1/rooms/{room}",
            "archiveRoom",
            TAG,
            "Archive a room",
            "For its owners. Nothing is lost: it can still be read, and brought back with `PATCH`.",
            scope="write",
            parameters=[ROOM],
            answers={204: reply("Archived.")},
            errors="room_not_found not_a_member forbidden",
        ),
    ]


def _members() -> list[Operation]:
    user = path("user", ref("Name"), "A user name, or `me` for oneself.", "me")
    members = "/v1/rooms/{room}/members"
    return [
        operation(
            "GET",
            members,
            "listMembers",
            TAG,
            "Who is in a room",
            "By user name, a page at a time.",
            parameters=[
                ROOM,
                query("limit", whole("", 1, 500, default=100), "People on a page."),
                query("cursor", ref("ListCursor"), "The `next` of the page before."),
            ],
            answers={
                200: reply(
                    "A page of members.",
                    obj(
                        "members next",
                        {
                            "members": listed(ref("Member")),
                            "next": maybe(ref("ListCursor") | {"description": "null at the end."}),
                        },
                    ),
                    {
                        "members": [{"user": "ada", "display_name": "Ada", "role": "owner", "presence": "online"}],
                        "next": None,
                    },
                )
            },
            errors="invalid_request bad_cursor room_not_found",
        ),
        operation(
            "PUT",
            members + "/{user}",
            "putMember",
            TAG,
            "Join, invite, or give a role",
            "`PUT …/members/me` joins a public room. Another name invites: members may invite as `member`, moderators "
            "with other roles, owners as `owner`. For somebody who is in the room a `role` changes theirs. The body "
            "may be left out. Doing it again changes nothing.",
            scope="write",
            parameters=[ROOM, user],
            takes=body(
                obj("", {"role": maybe(ref("Role") | {"description": "Absent: `member`, or what they are."})}),
                {"role": "member"},
                required=False,
            ),
            answers={
                200: reply(
                    "The member.",
                    obj("member", {"member": obj("user role", {"user": ref("Name"), "role": ref("Role")})}),
                    {"member": {"user": "ada", "role": "member"}},
                )
            },
            errors="room_not_found user_not_found not_a_member forbidden room_archived",
        ),
        operation(
            "DELETE",
            members + "/{user}",
            "removeMember",
            TAG,
            "Leave, or remove somebody",
            "Their open streams carry the room no longer. When the last owner leaves, a moderator, else a member, "
            "becomes owner. Doing it again changes nothing.",
            scope="write",
            parameters=[ROOM, user],
            answers={204: reply("Not in the room any more.")},
            errors="room_not_found user_not_found not_a_member forbidden room_archived",
        ),
    ]


def operations() -> list[Operation]:
    """All of this part."""
    return _all() + _one() + _members()
