/**
 * What can go wrong between a page and its server, as one kind of error a person can read. The twin of
 * dchat_client/errors.py.
 */

/** What an answer without a problem document means: it came from a proxy, or from something that is not D-Chat. */
const CODES = new Map([
    [401, "unauthorized"],
    [404, "not_found"],
    [429, "rate_limited"],
    [502, "backend_unavailable"],
    [503, "backend_unavailable"],
    [504, "backend_unavailable"],
]);
const BUSY = [429, 502, 503, 504];

/**
 * Anything that kept a request or a stream from doing its work. `message` is a sentence for a person.
 *
 * `code` is the server's stable word, or one of ours: unreachable, not_dchat, stream_broken, outbox_full, too_old.
 * `status` is the HTTP status, null when there was no answer; `retryAfterS` what the server asked to wait.
 */
export class ChatError extends Error {
    /**
     * @param {string} detail
     * @param {{code: string, status?: number | null, retryAfterS?: number | null, retryable?: boolean}} about
     */
    constructor(detail, { code, status = null, retryAfterS = null, retryable }) {
        super(detail);
        this.name = "ChatError";
        this.detail = detail;
        this.code = code;
        this.status = status;
        this.retryAfterS = retryAfterS;
        /** The same request may well succeed later, without anybody changing anything. */
        this.retryable = retryable ?? (status !== null && BUSY.includes(status));
    }

    /** 401: nobody is signed in, or not any more; or a wrong password at sign-in. */
    get signInNeeded() {
        return this.status === 401;
    }

    /** The server failed (500), or answered something that makes no sense: nobody knows whether it was done. */
    get serverFault() {
        return this.code === "not_dchat" || (this.status !== null && !this.retryable && this.status >= 500);
    }

    /** As plain values, for storage and other tabs. */
    toJSON() {
        return {
            detail: this.detail,
            code: this.code,
            status: this.status,
            retryAfterS: this.retryAfterS,
            retryable: this.retryable,
        };
    }

    /** @param {any} value what `toJSON` gave */
    static from(value) {
        return new ChatError(String(value?.detail ?? ""), { ...value, code: String(value?.code ?? "unknown") });
    }
}

/** No answer came. What was asked may have happened or not. @param {string} detail */
export function unreachable(detail) {
    return new ChatError(detail, { code: "unreachable", retryable: true });
}

/** What came over the stream cannot be read. A new connection may be better. @param {string} detail */
export function streamBroken(detail) {
    return new ChatError(detail, { code: "stream_broken", retryable: true });
}

/** The answer makes no sense. @param {string} detail @param {number | null} [status] */
export function notDchat(detail, status = null) {
    return new ChatError(detail, { code: "not_dchat", status });
}

/**
 * Return the error for an answer with `status` and its decoded problem+json body (or whatever came instead).
 * @param {number} status @param {any} problem @param {number | null} [retryAfterS]
 */
export function fromProblem(status, problem, retryAfterS = null) {
    const detail = word(problem, "detail") || word(problem, "title") || `the server answered with status ${status}`;
    const code = word(problem, "code") || CODES.get(status) || `http_${status}`;
    return new ChatError(detail, { code, status, retryAfterS });
}

/** Any thrown value as a ChatError; a fault of ours stays visible by its code. @param {unknown} error */
export function asChatError(error) {
    if (error instanceof ChatError) return error;
    return new ChatError(error instanceof Error ? error.message : String(error), { code: "fault_of_the_page" });
}

/** @param {any} problem @param {string} name */
function word(problem, name) {
    const value = problem !== null && typeof problem === "object" ? problem[name] : null;
    return typeof value === "string" ? value : "";
}
