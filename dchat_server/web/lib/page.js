/** What the browser tells a page about its life: seen, hidden, frozen, woken, on and off the network. */

/**
 * Call `wake` whenever time may have passed unnoticed or the network may be back, `freeze` before the page stops running.
 * @param {{wake: (why: {online?: boolean}) => void, freeze: () => void}} page @param {AbortSignal} signal
 */
export function watchPage({ wake, freeze }, signal) {
    const options = { signal };
    const seen = () => {
        if (document.visibilityState === "visible") wake({});
    };
    document.addEventListener("visibilitychange", seen, options);
    addEventListener("focus", seen, options);
    addEventListener("online", () => wake({ online: true }), options);
    // Chromium says freeze and resume; a page that goes into the back-forward cache gets pagehide and pageshow everywhere.
    document.addEventListener("freeze", freeze, options);
    document.addEventListener("resume", () => wake({ online: true }), options);
    addEventListener("pagehide", (event) => event.persisted && freeze(), options);
    addEventListener("pageshow", (event) => event.persisted && wake({ online: true }), options);
}
