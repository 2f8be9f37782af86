"""Short names of everyday emoji, as Slack, GitHub and most chats know them: `:thumbsup:`. Pure.

A small table on purpose: what people react with, not all of Unicode. Whatever is not in it may be typed as the emoji
itself.
"""

from __future__ import annotations

import re

# fmt: off
SHORTCODES = {
    # reactions
    "thumbsup": "👍", "+1": "👍", "thumbsdown": "👎", "-1": "👎", "ok_hand": "👌", "clap": "👏", "wave": "👋",
    "raised_hands": "🙌", "pray": "🙏", "muscle": "💪", "handshake": "🤝", "point_up": "☝️", "point_left": "👈",
    "point_right": "👉", "v": "✌️", "crossed_fingers": "🤞", "raised_hand": "✋", "eyes": "👀", "shrug": "🤷",
    "facepalm": "🤦", "brain": "🧠", "salute": "🫡", "saluting_face": "🫡",
    # faces
    "smile": "😄", "grinning": "😀", "grin": "😁", "joy": "😂", "rofl": "🤣", "rolling_on_the_floor_laughing": "🤣",
    "slightly_smiling_face": "🙂", "upside_down_face": "🙃", "wink": "😉", "blush": "😊", "heart_eyes": "😍",
    "star_struck": "🤩", "kissing_heart": "😘", "stuck_out_tongue": "😛", "thinking_face": "🤔", "thinking": "🤔",
    "neutral_face": "😐", "expressionless": "😑", "smirk": "😏", "unamused": "😒", "roll_eyes": "🙄",
    "grimacing": "😬", "relieved": "😌", "pensive": "😔", "sleeping": "😴", "mask": "😷", "exploding_head": "🤯",
    "partying_face": "🥳", "sunglasses": "😎", "nerd_face": "🤓", "confused": "😕", "worried": "😟",
    "slightly_frowning_face": "🙁", "open_mouth": "😮", "astonished": "😲", "flushed": "😳", "cry": "😢",
    "sob": "😭", "scream": "😱", "sweat_smile": "😅", "sweat": "😓", "weary": "😩", "angry": "😠", "rage": "😡",
    "skull": "💀", "clown_face": "🤡", "ghost": "👻", "robot_face": "🤖", "robot": "🤖", "hugging_face": "🤗",
    "innocent": "😇", "melting_face": "🫠", "pleading_face": "🥺",
    # hearts and feasts
    "heart": "❤️", "orange_heart": "🧡", "yellow_heart": "💛", "green_heart": "💚", "blue_heart": "💙",
    "purple_heart": "💜", "black_heart": "🖤", "broken_heart": "💔", "sparkling_heart": "💖", "tada": "🎉",
    "confetti_ball": "🎊", "birthday": "🎂", "cake": "🍰", "gift": "🎁", "balloon": "🎈", "trophy": "🏆",
    "first_place_medal": "🥇", "medal": "🏅", "beers": "🍻", "beer": "🍺", "coffee": "☕", "tea": "🍵",
    "pizza": "🍕", "champagne": "🍾", "cookie": "🍪",
    # work
    "white_check_mark": "✅", "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "x": "❌",
    "negative_squared_cross_mark": "❎", "heavy_plus_sign": "➕", "heavy_minus_sign": "➖", "question": "❓",
    "exclamation": "❗", "bangbang": "‼️", "warning": "⚠️", "no_entry": "⛔", "no_entry_sign": "🚫",
    "rotating_light": "🚨", "construction": "🚧", "fire": "🔥", "boom": "💥", "zap": "⚡", "sparkles": "✨",
    "star": "⭐", "star2": "🌟", "100": "💯", "rocket": "🚀", "ship": "🚢", "bug": "🐛", "bulb": "💡", "gear": "⚙️",
    "wrench": "🔧", "hammer": "🔨", "lock": "🔒", "unlock": "🔓", "key": "🔑", "mag": "🔍", "bell": "🔔",
    "no_bell": "🔕", "pushpin": "📌", "paperclip": "📎", "memo": "📝", "book": "📖", "books": "📚", "calendar": "📅",
    "email": "📧", "envelope": "✉️", "phone": "☎️", "computer": "💻", "package": "📦", "recycle": "♻️",
    "hourglass": "⌛", "alarm_clock": "⏰", "stopwatch": "⏱️", "chart_with_upwards_trend": "📈",
    "chart_with_downwards_trend": "📉", "link": "🔗", "speech_balloon": "💬", "thought_balloon": "💭", "zzz": "💤",
    "red_circle": "🔴", "large_blue_circle": "🔵", "large_green_circle": "🟢", "large_yellow_circle": "🟡",
    # the world
    "sunny": "☀️", "cloud": "☁️", "rainbow": "🌈", "snowflake": "❄️", "earth_africa": "🌍", "seedling": "🌱",
    "four_leaf_clover": "🍀", "evergreen_tree": "🌲", "cat": "🐱", "dog": "🐶", "unicorn_face": "🦄", "penguin": "🐧",
    "snake": "🐍", "crab": "🦀", "turtle": "🐢", "whale": "🐳", "octopus": "🐙", "see_no_evil": "🙈",
    "hear_no_evil": "🙉", "speak_no_evil": "🙊", "poop": "💩", "hankey": "💩",
}
# fmt: on
"""Short name → emoji, without the colons."""

_NAMED = re.compile(r":([a-z0-9_+-]{1,40}):")


def emoji_of(text: str) -> str:
    """Return the emoji that `text` names (":tada:"); `text` itself when it names none."""
    match = _NAMED.fullmatch(text)
    return SHORTCODES.get(match[1], text) if match else text


def with_emoji(text: str) -> str:
    """Return `text` with each short name that is known replaced by its emoji."""
    return _NAMED.sub(lambda match: SHORTCODES.get(match[1], match[0]), text)


def names_like(prefix: str, limit: int = 20) -> list[str]:
    """Return the short names that begin with `prefix`, ":" in front or not, shortest first; with their colons."""
    wanted = prefix.lstrip(":").lower()
    found = sorted((name for name in SHORTCODES if name.startswith(wanted)), key=lambda name: (len(name), name))
    return [f":{name}:" for name in found[:limit]]
