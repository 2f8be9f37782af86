// Other people's text with everything that acts unseen made visible. Pure; the twin of dchat_client/terminal.py.
//
// A page is safer than a terminal, but a text can still hide parts of itself, run backwards over its neighbours, or
// pass for another one. Whatever could is replaced by something one sees: controls by their Unicode pictures (␛), the
// rest by its number (⟨U+202E⟩). Joiners are trickery inside a Latin name and spelling in Persian, Devanagari and
// emoji families, so they stay where their neighbours call for them. The other bidi controls stay nowhere: each
// message is isolated (`dir=auto`), so an honest one does without.

const ZWNJ = "\u200c";
const ZWJ = "\u200d";
const BLACK_FLAG = "\u{1f3f4}";
const TAG_END = "\u{e007f}";

const PLAIN = /^[\x20-\x7e\t\n]*$/;
// Format characters that are seen: signs that stand before or around numbers.
const VISIBLE_FORMAT = /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]/u;
// Letters and signs that look like nothing at all.
const BLANK = /[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\uffa0]/;
const UNSEEN = /[\p{Cc}\p{Cs}\u2028\u2029]/u;
const FORMAT = /\p{Cf}/u;
const PICTOGRAPH = /[\p{So}\p{Sk}]/u;
const VARIATION = /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
const FLAG_TAGS = /^[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{2,6}\u{e007f}$/u;
const TAG = /[\u{e0020}-\u{e007f}]/u;
const JOINING = new RegExp(
  `[${[
    ...["Arabic", "Syriac", "Mongolian", "Nko", "Mandaic", "Manichaean", "Thaana"],
    ...["Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada"],
    ...["Malayalam", "Sinhala", "Tibetan", "Myanmar", "Khmer", "Balinese", "Javanese", "Sundanese"],
    ...["Tai_Le", "Tai_Tham", "Tai_Viet"],
  ]
    .map((script) => `\\p{Script=${script}}`)
    .join("")}]`,
  "u",
);

/** `text` with what acts unseen made visible. Line feeds and tabs stay; "\r\n" becomes a line feed. */
export function visible(text) {
  if (PLAIN.test(text)) return text;
  const signs = Array.from(text.replaceAll("\r\n", "\n"));
  return signs.map((_, index) => shown(signs, index)).join("");
}

/** `text` on one line: for names, topics and titles. */
export function visibleLine(text) {
  return visible(text.replaceAll("\r\n", "\n").replace(/[\n\t]/g, " "));
}

function shown(signs, index) {
  const sign = signs[index];
  const code = sign.codePointAt(0);
  if (sign === "\n" || sign === "\t") return sign;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "␡";
  if (code < 0x7f) return sign;
  if (UNSEEN.test(sign) || BLANK.test(sign)) return number(code);
  if (FORMAT.test(sign) && !VISIBLE_FORMAT.test(sign) && !belongs(signs, index)) return number(code);
  if (VARIATION.test(sign) && (index === 0 || !takesVariation(signs[index - 1]))) return number(code);
  return sign;
}

/** Whether an invisible sign does what its script or an emoji needs it for. */
function belongs(signs, index) {
  const sign = signs[index];
  if (index === 0) return false;
  if (sign === ZWNJ || sign === ZWJ) {
    if (index + 1 === signs.length) return false;
    const before = signs[index - 1];
    const after = signs[index + 1];
    if (sign === ZWJ && isPictograph(after)) return isPictograph(before) || before === "\ufe0f";
    return JOINING.test(before) && JOINING.test(after);
  }
  return TAG.test(sign) && isInFlag(signs, index);
}

/** A flag of a region: black flag, tag letters, end. Tags anywhere else, or more of them, are hidden text. */
function isInFlag(signs, index) {
  const start = signs.lastIndexOf(BLACK_FLAG, index);
  if (start < 0 || index - start > 7) return false;
  const end = signs.indexOf(TAG_END, start);
  return end >= index && FLAG_TAGS.test(signs.slice(start + 1, end + 1).join(""));
}

function isPictograph(sign) {
  return PICTOGRAPH.test(sign) && sign.codePointAt(0) > 0x2000;
}

/** Selectors choose a form of the one sign before them; a row of them, or one on a space, hides something. */
function takesVariation(sign) {
  return !/\s/.test(sign) && !VARIATION.test(sign) && !/[\p{Cf}\p{Cc}]/u.test(sign);
}

function number(code) {
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
