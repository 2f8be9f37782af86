// A message's text as nodes: Markdown's everyday part, and nothing that its author could act with.
//
// marked reads the text, DOMPurify lets through the dozen tags below and the links of three schemes, and what is then
// left as text is made visible (visible.js). No text is ever HTML: tags in a message are shown as they were typed, and
// so are entities, images (as a link), headings, tables and indented code, which people mean literally in a chat.
//
// The work is bounded by the text alone, so that everybody sees the same: a text that is too long without a space, or
// that needs too many steps or levels, is shown plain. Other people could otherwise stop a page by what they write.

import { Lexer, Parser, Renderer, Tokenizer } from "../vendor/marked/marked.esm.js";
import DOMPurify from "../vendor/dompurify/purify.es.mjs";
import { visible, visibleLine } from "./visible.js";

const MAX_STEPS = 1500;
const MAX_LEVELS = 5;
const MAX_WORD = 2000;
const MAX_CALLS = 50;

const MARKS = /[*_~`[\]<>\\#|\n-]|:\/\/|www\.|@|^\s*\d+[.)]/;
const LONG_WORD = new RegExp(`\\S{${MAX_WORD}}`);
const PURE = {
  ALLOWED_TAGS: ["p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a"],
  ALLOWED_ATTR: ["href", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
// As the server reads them (model.mentions_in).
const MENTION = /(?<![\p{L}\p{N}_@.-])@([a-z0-9][a-z0-9._-]{0,31})/gu;

class TooMuch extends Error {}

class EverydayTokenizer extends Tokenizer {
  steps = 0;
  levels = 0;

  // The lexer asks these two first at every position, of blocks and of what is in a line.
  space(source) {
    this.#step();
    return super.space(source);
  }

  escape(source) {
    this.#step();
    return super.escape(source);
  }

  blockquote(source) {
    return this.#deeper(() => super.blockquote(source));
  }

  list(source) {
    return this.#deeper(() => super.list(source));
  }

  emStrong(source, ...rest) {
    // Two underscores are more often part of a name, such as __init__.py, than meant to be bold.
    const [underscores] = /^_{2,}|/.exec(source);
    if (underscores) return { type: "text", raw: underscores, text: underscores };
    return super.emStrong(source, ...rest);
  }

  del(source, ...rest) {
    return source.startsWith("~~") ? super.del(source, ...rest) : undefined;
  }

  code() {}
  def() {}
  heading() {}
  hr() {}
  html() {}
  lheading() {}
  reflink() {}
  table() {}
  tag() {}

  #step() {
    this.steps += 1;
    if (this.steps > MAX_STEPS) throw new TooMuch();
  }

  #deeper(read) {
    this.levels += 1;
    if (this.levels > MAX_LEVELS) throw new TooMuch();
    try {
      return read();
    } finally {
      this.levels -= 1;
    }
  }
}

class EverydayRenderer extends Renderer {
  text(token) {
    return token.tokens
      ? this.parser.parseInline(token.tokens)
      : escaped(token.type === "escape" ? token.text : token.raw);
  }

  code(token) {
    return `<pre><code>${escaped(token.text)}\n</code></pre>`;
  }

  codespan(token) {
    return `<code>${escaped(token.text)}</code>`;
  }

  checkbox(token) {
    return token.checked ? "☑ " : "☐ ";
  }

  link(token) {
    return `<a href="${escaped(token.href)}">${this.parser.parseInline(token.tokens)}</a>`;
  }

  image(token) {
    return `<a href="${escaped(token.href)}">${escaped(token.text || token.href)}</a>`;
  }
}

/** The nodes of a message's `text`. Calls by `@name` are marked, those of `me` differently. Never throws. */
export function rendered(text, me = "") {
  const fragment = purified(text) ?? plain(text);
  for (const node of textNodes(fragment)) finish(node, me);
  for (const link of fragment.querySelectorAll("a")) finishLink(link);
  return fragment;
}

/** The text on one line without its marks, for quotes and notifications. At most `most` characters. */
export function summary(text, most = 140) {
  const bare = text.slice(0, 4 * most).replace(/```\w*|[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}|^>\s?/gm, "");
  const signs = Array.from(visibleLine(bare.trim()).replace(/\s+/g, " "));
  return signs.length > most ? `${signs.slice(0, most - 1).join("")}…` : signs.join("");
}

function purified(text) {
  if (!MARKS.test(text) || LONG_WORD.test(text)) return undefined;
  const options = {
    breaks: true,
    gfm: true,
    tokenizer: new EverydayTokenizer(),
    renderer: new EverydayRenderer(),
  };
  try {
    return DOMPurify.sanitize(Parser.parse(Lexer.lex(text, options), options), PURE);
  } catch {
    return undefined; // too much, or the parser lost its way: the text is there all the same
  }
}

function plain(text) {
  const fragment = document.createDocumentFragment();
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  fragment.append(paragraph);
  return fragment;
}

function textNodes(root) {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) found.push(walker.currentNode);
  return found;
}

/** Make the text visible, and mark the calls in it. */
function finish(node, me) {
  const text = visible(node.data);
  // Between blocks marked leaves line feeds, which would be seen as empty lines where line feeds are kept.
  if (!text.trim() && !node.parentElement?.closest("p, code")) {
    node.remove();
    return;
  }
  const calls = node.parentElement?.closest("a, code") ? [] : [...text.matchAll(MENTION)].slice(0, MAX_CALLS);
  if (!calls.length) {
    if (text !== node.data) node.data = text;
    return;
  }
  const pieces = [];
  let from = 0;
  for (const call of calls) {
    const name = call[1].replace(/[._-]+$/, "");
    const mark = document.createElement("span");
    mark.className = name === me ? "call call-me" : "call";
    mark.textContent = `@${name}`;
    pieces.push(text.slice(from, call.index), mark);
    from = call.index + 1 + name.length;
  }
  node.replaceWith(...pieces, text.slice(from));
}

function finishLink(link) {
  const target = link.getAttribute("href");
  if (!target) {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.rel = "noopener noreferrer nofollow";
  link.target = "_blank";
  link.title = visibleLine(target);
  const host = hostOf(target);
  const said = hostOf(link.textContent.trim());
  if (said && host && said !== host) {
    // The text names another site than the link leads to: say so beside it.
    const note = document.createElement("span");
    note.className = "elsewhere";
    note.textContent = `(${host})`;
    link.append(note);
  }
}

/** The host of what looks like an address, else undefined. */
function hostOf(text) {
  const match = /^(?:https?:\/\/)?((?:[\w-]+\.)+[a-z]{2,})(?=$|[/:?#])/i.exec(text);
  return match?.[1].toLowerCase().replace(/^www\./, "");
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
