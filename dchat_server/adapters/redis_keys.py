"""The name of every Redis key, one function each. Nothing else builds a key.

All keys of a shard carry the hash tag `{sN}`, so one script may touch them and Redis Cluster keeps them together.
The scripts make a room's keys from its prefix: `:log` (stream, ids `<epoch>-<seq>`), `:meta` (hash), `:members`
(hash, user → role), `:posted` (hash, user → place of their last message), `:touched` (messages that were edited,
deleted or reacted to), `:deleted`, `:msg:<seq>` (state of a touched message), `:mentions:<user>`.
"""

from __future__ import annotations

from typing import NamedTuple

from dchat_server.model import shard_of


class Keys(NamedTuple):
    """Builds keys for a cluster of `shards` shards."""

    shards: int

    def tag(self, shard: int) -> str:
        return f"dchat:{{s{shard}}}"

    def feed(self, shard: int) -> str:
        """Stream: the shard's fan-out, ids `<epoch>-<offset>`."""
        return f"dchat:{{s{shard}}}:feed"

    def state(self, shard: int) -> str:
        """Hash: epoch, run, head, bases, shards; see lua/open_shard.lua."""
        return f"dchat:{{s{shard}}}:state"

    def shard(self, name: str) -> int:
        return shard_of(name, self.shards)

    def dirty(self, shard: int) -> str:
        """Sorted set: rooms with events that are not archived, by the time (ms) of the first of them."""
        return f"dchat:{{s{shard}}}:dirty"

    def room(self, room: str) -> str:
        """Prefix of a room's keys."""
        return f"dchat:{{s{shard_of(room, self.shards)}}}:room:{room}"

    def once(self, room: str, sender: str, client_id: str) -> str:
        """String: where the message with this idempotency key went."""
        return f"dchat:{{s{shard_of(room, self.shards)}}}:once:{room}:{sender}:{client_id}"

    def batch(self, shard: int, number: str) -> str:
        """String: the answer to a batch of sends, for when it is repeated; see lua/send.lua."""
        return f"dchat:{{s{shard}}}:batch:{number}"

    def public_rooms(self, shard: int) -> str:
        """Sorted set, all scores 0: names of the shard's public rooms."""
        return f"dchat:{{s{shard}}}:rooms"

    def user(self, user: str) -> str:
        """Prefix of a user's keys, and the hash of the account itself."""
        return f"dchat:{{s{shard_of(user, self.shards)}}}:user:{user}"

    def users(self, shard: int) -> str:
        """Sorted set, all scores 0: names of the shard's users."""
        return f"dchat:{{s{shard}}}:users"

    def joined(self, user: str) -> str:
        """Set: rooms the user may be in. May name a room too many, never one too few; `:members` decides."""
        return self.user(user) + ":rooms"

    def markers(self, user: str) -> str:
        """Hash: room → read marker, see lua/mark_read.lua."""
        return self.user(user) + ":read"

    def changed(self, shard: int) -> str:
        """Hash: user → version of a record that is to be saved, see lua/user_saved.lua."""
        return f"dchat:{{s{shard}}}:changed"

    def changed_first(self, shard: int) -> str:
        """Set: those of them whose account or tokens changed."""
        return f"dchat:{{s{shard}}}:changed:first"

    def streams(self, user: str) -> str:
        """Hash: worker → open streams of this user there and when that count ends to hold."""
        return self.user(user) + ":streams"

    def tokens(self, user: str) -> str:
        """Hash: token id → facts of the token (JSON)."""
        return self.user(user) + ":tokens"

    def token(self, shard: int, digest: str) -> str:
        """Hash: the token whose SHA-256 is `digest`."""
        return f"dchat:{{s{shard}}}:token:{digest}"

    def ticket(self, shard: int, digest: str) -> str:
        return f"dchat:{{s{shard}}}:ticket:{digest}"

    def invite(self, shard: int, digest: str) -> str:
        return f"dchat:{{s{shard}}}:invite:{digest}"

    def limit(self, subject: str, what: str) -> str:
        """A counter of the rate limiter, on the subject's own shard."""
        return f"dchat:{{s{shard_of(subject, self.shards)}}}:limit:{what}:{subject}"

    def first_user(self) -> str:
        """String: name of the account that became the first administrator."""
        return "dchat:{s0}:first-user"

    def board(self) -> str:
        """Hash: worker → when (ms, by Redis' clock) and what it said last, see lua/post_board.lua."""
        return "dchat:{s0}:board"

    def leader(self) -> str:
        """String: the leader's last report, in the same form."""
        return "dchat:{s0}:leader"
