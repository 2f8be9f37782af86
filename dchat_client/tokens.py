"""Where the sign-in token lies: in the system's keyring where one is usable, else in a file only its owner
can read.

A token is kept together with the addresses it was given by, and handed out for these only: pointing a
profile at another server must not send it there. The file is there in both cases; it says whether the
secret is in it or in the keyring, so that the keyring, which is slow to load, is touched only by those who
use it.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dchat_client.config import ConfigError, Folders, Profile, write_private

SERVICE = "dchat"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Token:
    """A kept sign-in."""

    secret: str = field(repr=False)
    urls: tuple[str, ...]
    username: str | None = None
    expires_at: str | None = None
    in_keyring: bool = False


def keep_token(folders: Folders, profile: str, token: Token, *, environ: Mapping[str, str] = os.environ) -> Token:
    """Keep `token` for `profile` and return it as kept.

    Raises ConfigError when not even the file can be written.
    """
    in_keyring = _keyring_wanted(environ) and _with_keyring(
        lambda keyring: keyring.set_password(SERVICE, profile, token.secret) or True, timeout_s=20.0
    )
    record: dict[str, Any] = {
        "urls": list(token.urls),
        "username": token.username,
        "expires_at": token.expires_at,
        "in_keyring": bool(in_keyring),
    }
    if not in_keyring:
        record["token"] = token.secret
    write_private(folders.token_file(profile), json.dumps(record, indent=1) + "\n")
    return Token(token.secret, token.urls, token.username, token.expires_at, bool(in_keyring))


def kept_token(folders: Folders, profile: str) -> Token | None:
    """Return the kept sign-in of `profile`; None when there is none, or the keyring does not give it.

    A file that others could read is closed to them. Raises ConfigError when the file is damaged.
    """
    path = folders.token_file(profile)
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
        record = json.loads(path.read_text("utf-8"))
        in_keyring = record["in_keyring"]
        secret = record.get("token")
        if in_keyring:
            secret = _with_keyring(lambda keyring: keyring.get_password(SERVICE, profile), timeout_s=60.0)
        if not secret:
            return None
        return Token(str(secret), tuple(record["urls"]), record["username"], record["expires_at"], in_keyring)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); remove it and sign in again.") from None


def is_kept(folders: Folders, profile: str) -> bool:
    """Tell whether somebody is signed in with `profile`, without asking the keyring."""
    return folders.token_file(profile).exists()


def drop_token(folders: Folders, profile: str) -> None:
    """Forget the sign-in of `profile`, wherever it lies."""
    path = folders.token_file(profile)
    try:
        if json.loads(path.read_text("utf-8")).get("in_keyring"):
            _with_keyring(lambda keyring: keyring.delete_password(SERVICE, profile) or True, timeout_s=20.0)
    except (OSError, ValueError, AttributeError):
        pass  # nothing there, or nothing that could be read: there is nothing to take back from the keyring
    path.unlink(missing_ok=True)


def token_for(folders: Folders, profile: Profile) -> str | None:
    """Return the token to use with `profile`; None when nobody is signed in there.

    Raises ConfigError when the kept one belongs to another server than the profile now names.
    """
    if profile.token:
        return profile.token
    token = kept_token(folders, profile.name)
    if token is None:
        return None
    if not set(profile.urls) <= set(token.urls):
        raise ConfigError(
            f"Profile {profile.name} is signed in at {', '.join(token.urls)}, not at {profile.url}."
            " Sign in there with: dchat login (another --profile keeps both)."
        )
    return token.secret


def _keyring_wanted(environ: Mapping[str, str]) -> bool:
    return environ.get("DCHAT_KEYRING", "1").lower() not in ("0", "false", "no", "off")


def _with_keyring(work: Callable[[Any], _T], *, timeout_s: float) -> _T | None:
    """Return what `work(keyring)` returns;

    None when there is no usable keyring, it refuses or does not answer.
    """
    result: list[_T] = []

    def attempt() -> None:
        # A keyring is a plug-in of the desktop; whatever it raises, signing in must go on without it.
        try:
            import keyring

            if getattr(keyring.get_keyring(), "priority", 0) >= 1:
                result.append(work(keyring))
        except Exception:
            return

    # In a thread of its own because a locked keyring may ask its user, who may not be there.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return result[0] if result else None
