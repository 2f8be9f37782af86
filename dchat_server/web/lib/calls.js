/** What one asks of the server directly, a method a call. All throw ChatError. */

import { path } from "./connection.js";

/** At most so many pages of a list. */
const MAX_PAGES = 20;

/** @typedef {{user: string, display_name: string, role: string}} Member */
/** @typedef {{username: string, display_name: string}} Person */
/** @typedef {import("./rooms.js").Room} Room */

export class Calls {
    /** @param {import("./connection.js").Connection} connection */
    constructor(connection) {
        this.connection = connection;
    }

    /** The members of a room, by name; at most 10,000. @param {string} room @returns {Promise<Member[]>} */
    members(room) {
        return this.#list(path`/v1/rooms/${room}/members`, "members", { limit: 500 });
    }

    /** People whose names begin like `query`; at most `limit` ≤ 200. @param {string} query @returns {Promise<Person[]>} */
    async people(query, limit = 50) {
        const answer = await this.connection.request("GET", "/v1/users", { params: { query, limit } });
        return answer.users;
    }

    /** Rooms one may see, joined or not, whose names begin with `query`; at most 200. @returns {Promise<Room[]>} */
    async browse(query = "") {
        const params = { limit: 200, query: query || undefined };
        return (await this.connection.request("GET", "/v1/rooms", { params })).rooms;
    }

    /** A room as one sees it. @param {string} room @returns {Promise<Room>} */
    async room(room) {
        return (await this.connection.request("GET", path`/v1/rooms/${room}`)).room;
    }

    /** One message, or null when there is none (any more). @param {string} room @param {number} seq */
    async message(room, seq) {
        try {
            return (await this.connection.request("GET", path`/v1/rooms/${room}/messages/${seq}`)).message;
        } catch (error) {
            if (/** @type {any} */ (error).code === "message_not_found") return null;
            throw error;
        }
    }

    /** Let somebody into a room. @param {string} room @param {string} user */
    async invite(room, user) {
        await this.connection.request("PUT", path`/v1/rooms/${room}/members/${user}`, { body: {} });
    }

    /** Give somebody a role. @param {string} room @param {string} user @param {"owner" | "moderator" | "member" | "reader"} role */
    async setRole(room, user, role) {
        await this.connection.request("PUT", path`/v1/rooms/${room}/members/${user}`, { body: { role } });
    }

    /** Make somebody leave. @param {string} room @param {string} user */
    async kick(room, user) {
        await this.connection.request("DELETE", path`/v1/rooms/${room}/members/${user}`);
    }

    /** @param {string} where @param {string} name @param {Record<string, number | string>} params */
    async #list(where, name, params) {
        const found = [];
        let cursor;
        for (let pages = 0; pages < MAX_PAGES && cursor !== null; pages += 1) {
            const answer = await this.connection.request("GET", where, { params: { ...params, cursor } });
            found.push(...answer[name]);
            cursor = answer.next ?? null;
        }
        return found;
    }
}
