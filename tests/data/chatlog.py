"""A chat log as people write it: some thousand lines, several speakers, many scripts, and what trips programs up.

It is made, not collected, and always the same: `chat_log()` gives (speaker, line) pairs in the order they were said.
Run as a program it prints them, tab between speaker and line.
"""

from __future__ import annotations

import random

SPEAKERS = ("ada", "bao", "chiara", "dilnoza", "eitan", "farid")
LONGEST_BYTES = 16_384
"""What a server takes as one message."""

_SPOKEN = {
    "latin": """so I looked at the queue again and it was fine after all but we should measure that tomorrow morning
        when nobody deploys anything Grüße naïve façade coöperate Æsir Łódź żółć İstanbul ıslak Đà Nẵng über straße""",
    "cjk": """我們 昨天 看了 那個 問題 其實 不是 網路 而是 緩衝區 太小了 今日 は とても 暑い です ね
        会議 を 始め ましょう 안녕하세요 오늘 회의는 세 시 입니다 괜찮아요 ありがとう ㈱ Ａ１ ｶﾀｶﾅ 𠮷野家 𩸽""",
    "hebrew": """שלום לכולם אני חושב שהבעיה בשרת הישן צריך לבדוק את זה מחר בבוקר תודה רבה שָׁלוֹם (סוגריים) 42% v2.1""",
    "arabic": """السلام عليكم أعتقد أن المشكلة في الخادم القديم سنراجعها غدًا صباحًا إن شاء الله شكرًا ١٢٣ (قوس)
        مي\u200cخواهم لا\u200f""",
    "cyrillic": """Привет всем кажется сервер снова упал посмотрю после обеда спасибо ёжик щука Қазақстан
        Ўзбекистон їжак""",
    "devanagari": """नमस्ते सब लोग मुझे लगता है कि क्षमा कीजिए स्त्री ज्ञान র\u200d্যাব ক্ষ தமிழ் நாடு ภาษาไทย ที่นี่
        ကျေးဇူး ខ្មែរ""",
    "emoji": """👍 🎉 😀 👩\u200d💻 👨\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 🏴\u200d☠\ufe0f 👍🏽 🇩🇪 🇯🇵
        ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 🫠 ☃\ufe0e ☃\ufe0f 🧑🏿\u200d🚀
        🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f""",
    # Equal looks of unequal texts: nobody may make them equal on the way.
    "marks": """Z̴̡̛͓a̷͎͌l̸̰̈́g̵͙̈́o̶̲͒ e\u0301 \u00e9 q\u0323\u0307 q\u0307\u0323 n\u0303 \u00f1 \ufb01 \u017f \u212b \u00c5 A\u030a
        \uac00 \u1100\u1161""",
}
_WORDS = {script: text.split() for script, text in _SPOKEN.items()}

_TASTES = {
    "ada": ("latin", "emoji"),
    "bao": ("cjk", "cjk", "latin"),
    "chiara": ("latin", "marks", "emoji"),
    "dilnoza": ("cyrillic", "latin", "emoji"),
    "eitan": ("hebrew", "latin", "hebrew"),
    "farid": ("arabic", "devanagari", "arabic"),
}

TRAPS = (
    " ",
    "   leading spaces",
    "trailing spaces   ",
    "\tindented with a tab\tand\ttabs within",
    "　全角の空白で始まる　",
    'data: {"type":"message","seq":1}',
    "event: gap",
    "id: 12345",
    "retry: 0",
    ": a comment",
    '{"type":"reconnect","after_ms":0}',
    '{"text":"not the text","cursor":"AAAA"}',
    '","cursor":"x"}',
    "\\n is not a line end, nor is \\u0000 or \\",
    '"quoted" and \\"escaped\\" and \'single\'',
    "null",
    "0",
    "-1e309",
    "[]",
    "-",
    "--stream",
    "/leave",
    "@ada @bao @everyone @[nobody]",
    "<script>alert(1)</script> &amp; &lt;b&gt; <!-- ]]> -->",
    "%s %d %n ${HOME} $(reboot) `ls` ; rm -rf / #",
    "'; DROP TABLE messages; --",
    "../../../../etc/passwd",
    "\x1b[2J\x1b[31mred?\x1b[0m \x1b]0;title\x07",
    "bell \x07 backspace \x08\x08\x08 delete \x7f",
    "a NUL \x00 in the middle, and C1 \x85 \x9b31m",
    "carriage \r return within, vertical \x0b tab, form \x0c feed, \x1c \x1d \x1e separators",
    "line \u2028 and paragraph \u2029 separators",
    "\ufeffa byte order mark in front, \ufeff and within",
    "bidi: \u202egnirts desrever a\u202c and \u2067isolated\u2069 marks \u200e\u200f",
    "zero\u200bwidth\u200dand\u200cjoiners\u2060, soft\xadhyphen, tag\U000e0041s",
    "noncharacters \ufdd0 \ufffe \uffff \U0001fffe and private \ue000 \U0010ffff, replacement \ufffd",
    "\U00010000\U0001d11e𝄞 beyond the first plane",
    "http://example.org/?q=ü&x=%20#frag, mailto:a@b.c",
    "x" * 1000,
    "x" * LONGEST_BYTES,
    "界" * (LONGEST_BYTES // 3) + "x",
    "👩‍💻" * (LONGEST_BYTES // 11),
    "\x00" * 2000,
    '"\\' * 4000,
    "\u2028" * 3000,
)
"""Lines that somebody's program once fell over. None has a line feed, or a carriage return at its end."""


def chat_log(lines: int = 3000, seed: int = 1) -> list[tuple[str, str]]:
    """Return the log: at least `lines` (speaker, line) pairs, every trap in it once or more."""
    dice = random.Random(seed)
    said = [(dice.choice(SPEAKERS), trap) for trap in TRAPS]
    while len(said) < lines:
        speaker = dice.choice(SPEAKERS)
        said.append((speaker, _sentence(dice, speaker)))
    dice.shuffle(said)
    return said


def of_each(log: list[tuple[str, str]]) -> dict[str, list[str]]:
    """What each speaker said, in order."""
    return {speaker: [line for who, line in log if who == speaker] for speaker in SPEAKERS}


def _sentence(dice: random.Random, speaker: str) -> str:
    length = min(400, int(dice.paretovariate(0.9)) + dice.randrange(6))
    words = [dice.choice(_WORDS[dice.choice(_TASTES[speaker])]) for _ in range(max(1, length))]
    if dice.random() < 0.1:
        words.append(f"@{dice.choice(SPEAKERS)}")
    if dice.random() < 0.05:
        words.insert(0, dice.choice(TRAPS[:25]))
    text = " ".join(words)
    if dice.random() < 0.02:
        text = text * 20
    return text.encode()[:LONGEST_BYTES].decode("utf-8", "ignore")


if __name__ == "__main__":
    for who, line in chat_log():
        print(f"{who}\t{line}")
