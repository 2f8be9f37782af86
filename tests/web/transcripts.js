/** Small cases of a transcript: each returns what is seen and what should be. */

import { MAX_MESSAGES, Transcript } from "/web/lib/transcript.js";

function message(seq, more = {}) {
    return { id: `r:${seq}`, room: "r", seq, epoch: 1, ts: stamp(seq), sender: "bob", text: `text ${seq}`, ...more };
}

function event(type, seq, more) {
    return { type, room: "r", seq, epoch: 1, ts: stamp(seq), sender: "bob", ...more };
}

function stamp(seq) {
    return new Date(seq).toISOString();
}

function ready(messages, head = messages.at(-1)?.seq ?? 0, hasMore = false) {
    const transcript = new Transcript("r");
    transcript.tookNewest(transcript.asking(), [{ messages, head, hasMore }]);
    return transcript;
}

const thumb = (seq, action) => event("reaction", seq, { target: 1, emoji: "+1", action });

export const cases = {
    "an amendment that a page knew already does not take it back": () => {
        const transcript = ready([message(1, { text: "new", edited_at: stamp(4) })], 5);
        const seen = [transcript.deliver(thumb(2, "add")), transcript.deliver(event("edit", 3, { target: 1, text: "old" }))];
        transcript.deliver(thumb(6, "add"));
        return [
            [...seen, transcript.messages[0].text, transcript.messages[0].reactions[0].count],
            [false, false, "new", 1],
        ];
    },

    "what came while a page was under way is in it": () => {
        const transcript = new Transcript("r");
        const asking = transcript.asking();
        const page = { messages: [message(1), message(2)], head: 2, hasMore: false };
        for (const each of [event("edit", 3, { target: 1, text: "edited" }), event("message", 4, { text: "new" })]) {
            transcript.deliver(each);
        }
        transcript.tookNewest(asking, [page]);
        return [transcript.messages.map(({ text }) => text), ["edited", "text 2", "new"]];
    },

    "a page that does not fit any more is not put on top": () => {
        const transcript = ready([message(5), message(6)], 6, true);
        const older = transcript.asking();
        transcript.tookNewest(transcript.asking(), [{ messages: [message(8), message(9)], head: 9, hasMore: true }]);
        const fits = transcript.tookOlder(older, { messages: [message(3), message(4)], head: 6, hasMore: true });
        return [[fits, transcript.messages.map(({ seq }) => seq), transcript.hasOlder], [false, [8, 9], true]];
    },

    "a message that was deleted stays so": () => {
        const transcript = ready([message(1), message(2)]);
        transcript.deleted(1);
        transcript.deliver(event("edit", 3, { target: 1, text: "back" }));
        transcript.deliver(event("delete", 4, { target: 1 }));
        return [[transcript.messages[0].deleted, transcript.messages[0].text ?? null], [true, null]];
    },

    "who reads far up keeps what they read": () => {
        const many = Array.from({ length: MAX_MESSAGES }, (_, at) => message(at + 101));
        const transcript = ready(many, many.at(-1).seq, true);
        const older = Array.from({ length: 100 }, (_, at) => message(at + 1));
        transcript.tookOlder(transcript.asking(), { messages: older, head: 9999, hasMore: false });
        transcript.deliver(event("message", 2000, { text: "new" }));
        const up = [transcript.first, transcript.hasOlder];
        transcript.shrink();
        return [
            [...up, transcript.messages.length, transcript.hasOlder, transcript.messages.at(-1).seq],
            [1, false, MAX_MESSAGES, true, 2000],
        ];
    },
};
