"""What a line of input means."""

from __future__ import annotations

import pytest

from dchat_client.commands import Mistake, Run, Say, action_in, action_text, parse


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("hello", Say("hello")),
        (" /join", Say(" /join")),
        ("//join is a command", Say("/join is a command")),
        ("///", Say("//")),
        ("/join lobby", Run("join", "lobby")),
        ("/join #lobby", Run("join", "lobby")),
        ("/JOIN lobby ", Run("join", "lobby")),
        ("/leave", Run("leave")),
        ("/leave dev", Run("leave", "dev")),
        ("/msg @bob  see you  there ", Run("msg", "bob", "see you  there")),
        ("/msg bob\nhi", Run("msg", "bob", "hi")),
        ("/msg bob", Run("msg", "bob")),
        ("/topic", Run("topic")),
        ("/topic all about\nit", Run("topic", "", "all about\nit")),
        ("/me waves", Run("me", "", "waves")),
        ("/search two words", Run("search", "", "two words")),
        ("/notify none", Run("notify", "none")),
        ("/notify", Run("notify")),
        ("/quit", Run("quit")),
    ],
)
def test_commands_and_texts_are_told_apart(text: str, meaning: object) -> None:
    assert parse(text) == meaning


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("/shrug", "There is no command /shrug"),
        ("/usr/bin/python fails", "To say it, begin with two slashes"),
        ("/", "There is no command /"),
        ("/join", "/join ROOM"),
        ("/join two rooms", "one word only"),
        ("/join Über", "names nothing"),
        ("/msg", "/msg USER"),
        ("/me", "/me TEXT"),
        ("/search  ", "/search WORDS"),
        ("/notify loud", "'loud' is none of them"),
        ("/quit now", "takes nothing behind it"),
    ],
)
def test_a_mistake_is_explained_and_nothing_is_done(text: str, part: str) -> None:
    meaning = parse(text)
    assert isinstance(meaning, Mistake)
    assert part in meaning.words


def test_an_action_is_told_apart_from_other_emphasis() -> None:
    assert action_in(action_text("waves")) == "waves"
    assert action_in("_waves_") == "waves"
    for text in ("waves", "__init__", "_one_ and _two_", "_a\nb_", "_", "__", "_ a _"):
        assert action_in(text) is None, text
