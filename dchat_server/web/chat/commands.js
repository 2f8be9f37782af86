// Slash commands: what a line in the message field means. Pure.

/** Each with what it takes and what it does, for completion and help. */
export const COMMANDS = [
  { name: "join", takes: "room", does: "join a room and go there" },
  { name: "leave", takes: "[room]", does: "leave this room, or another one" },
  { name: "create", takes: "room", does: "make a room" },
  { name: "invite", takes: "person", does: "bring somebody into this room" },
  { name: "msg", takes: "person [text]", does: "write to somebody directly" },
  { name: "topic", takes: "[text]", does: "say what this room is about" },
  { name: "members", takes: "", does: "show who is here" },
  { name: "search", takes: "words", does: "find messages" },
  { name: "me", takes: "text", does: "say what you do" },
  { name: "reconnect", takes: "", does: "connect again now" },
  { name: "help", takes: "", does: "show keys and commands" },
];

const NAMES = new Set(COMMANDS.map((command) => command.name));

/** What `text` asks for: `{say}` a message, `{command, rest}`, or `{unknown}` the name of a command there is not.
 * `//` at the beginning says a text that begins with a slash; a path like /usr/bin is no command. */
export function understood(text) {
  if (text.startsWith("//")) return { say: text.slice(1) };
  const match = /^\/([a-z]+)(?:\s+([\s\S]*))?$/.exec(text.trimEnd());
  if (!match) return { say: text };
  const [, name, rest = ""] = match;
  // As the other clients send it: in Markdown's italics.
  if (name === "me") return rest ? { say: `_${rest.trim()}_` } : { command: "help", rest: "" };
  return NAMES.has(name) ? { command: name, rest: rest.trim() } : { unknown: name };
}
