/** What the browser tells a page about its life: seen, hidden, frozen, woken, on and off the network. */

/**
 * Call `wake` whenever time may have passed unnoticed or the network may be back, `offline` when it seems to be gone,
 * `freeze` before the page stops running.
 * @param {{wake: (why: {online?: boolean}) => void, offline: () => void, freeze: () => void}} page
 * @param {AbortSignal} signal
 */
export function watchPage({ wake, offline, freeze }, signal) {
    const options = { signal };
    const seen = () => {
        if (document.visibilityState === "visible") wake({});
    };
    document.addEventListener("visibilitychange", seen, options);
    addEventListener("focus", seen, options);
    addEventListener("offline", offline, options);
    addEventListener("online", () => wake({ online: true }), options);
    // Chromium says freeze and resume; a page that goes into the back-forward cache gets pagehide and pageshow everywhere.
    document.addEventListener("freeze", freeze, options);
    document.addEventListener("resume", () => wake({ online: true }), options);
    addEventListener("pagehide", (event) => event.persisted && freeze(), options);
    addEventListener("pageshow", (event) => event.persisted && wake({ online: true }), options);
}
