"""The session tells the golden stories, which the page's session in JavaScript is held to as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.session_stories import Story

FILES = sorted((Path(__file__).parents[2] / "golden" / "session").glob("*.json"))
STORIES = [
    pytest.param(story, id=f"{path.stem}: {story['name']}") for path in FILES for story in json.loads(path.read_text())
]


@pytest.mark.parametrize("told", STORIES)
def test_after_each_step_is_seen_what_the_story_says(told: dict[str, Any]) -> None:
    story = Story(told["options"])
    for number, step in enumerate(told["steps"]):
        assert story.do(step) == step["then"], f"step {number}: {step['do']}"
