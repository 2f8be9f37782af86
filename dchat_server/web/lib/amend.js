/** What an edit, a deletion or a reaction makes of a message. Pure; the twin of the server's fold. */

/** @typedef {Record<string, any>} Message as the server's pages give it; never changed, only replaced */

export const AMENDMENTS = ["edit", "delete", "reaction"];

/** The message that an event of type `message` brought. @param {Record<string, any>} event @returns {Message} */
export function messageOf(event) {
    const { type: _, ...message } = event;
    return message;
}

/** Return `message` after `event`; the same object when that changes nothing. @param {Message} message @param {Record<string, any>} event */
export function amended(message, event) {
    if (message.deleted) return message;
    switch (event.type) {
        case "edit":
            // A page may be ahead of the stream; its text stays.
            if (message.edited_at > event.ts) return message;
            return { ...message, text: event.text ?? "", edited_at: event.ts };
        case "delete":
            return tombstone(message);
        case "reaction":
            return reacted(message, event);
        default:
            return message;
    }
}

/** @param {Message} message @returns {Message} */
export function tombstone({ id, room, seq, epoch, ts, sender }) {
    return { id, room, seq, epoch, ts, sender, deleted: true };
}

/** @param {Message} message @param {Record<string, any>} event */
function reacted(message, { emoji, action, sender }) {
    const before = message.reactions ?? [];
    const there = before.find((/** @type {any} */ each) => each.emoji === emoji);
    const users = there?.users ?? [];
    if (users.includes(sender) === (action === "add")) return message;
    const left = action === "add" ? [...users, sender] : users.filter((/** @type {string} */ user) => user !== sender);
    const now = { emoji, count: left.length, users: left };
    const others = there ? before.map((/** @type {any} */ each) => (each === there ? now : each)) : [...before, now];
    const reactions = others.filter((/** @type {any} */ each) => each.count > 0);
    const { reactions: _, ...rest } = message;
    return reactions.length > 0 ? { ...rest, reactions } : rest;
}
