"""Slack's markup as plain text."""

from __future__ import annotations

import pytest

from dchat_client.imports.slack_text import plain

USERS = {"U1": "ada", "U2": "Bob <b>"}
CHANNELS = {"C1": "general"}


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("hi <@U1>, see <#C1|old-name>", "hi @ada, see #general"),
        ("<@U9|eve> <@U9> <#C9|dev> <#C9>", "@eve @U9 #dev #C9"),
        ("<https://a.example/x?y=1&amp;z=2>", "https://a.example/x?y=1&z=2"),
        ("<https://a.example|our page>", "our page (https://a.example)"),
        ("<https://a.example/|a.example> <http://b.example|b.example>", "https://a.example/ http://b.example"),
        ("<mailto:ada@a.example|ada@a.example> <tel:+1555|call me>", "ada@a.example call me (+1555)"),
        ("<!here> <!channel> <!everyone> <!subteam^S1|@ops>", "@here @channel @everyone @ops"),
        ("<!date^1392734382^{date}|Feb 18, 2014>", "Feb 18, 2014"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;@U1&amp;gt;", "&lt;@U1&gt;"),
        ("&lt;@U1&gt;", "<@U1>"),
        ("done :white_check_mark: :no_such: 10:30:15", "done ✅ :no_such: 10:30:15"),
        ("`:tada: &lt;x&gt;` ```\n:tada:\n``` :tada:", "`:tada: <x>` ```\n:tada:\n``` 🎉"),
        ("a < b, <, <>, <|>, <@>", "a < b, <, <>, <|>, @"),
        ("<@U2>", "@Bob <b>"),
    ],
)
def test_entities_become_what_a_person_reads(markup: str, text: str) -> None:
    assert plain(markup, USERS, CHANNELS) == text
