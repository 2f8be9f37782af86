/**
 * How the page sits on its screen: light or dark, a wall (`?kiosk`), the full screen, awake.
 *
 * `?kiosk` leaves out what only hands need and fills the window without scrolling; `?theme=dark` and `?theme=light`
 * choose for a screen whose browser has no opinion.
 */

import { byId, write } from "./dom.js";

const KEPT = "dchat-dashboard-theme";
const THEMES = ["auto", "dark", "light"];

export class Screen {
  #theme;
  #recoloured;

  /** `recoloured()` is called after colours changed. */
  constructor(recoloured) {
    this.#recoloured = recoloured;
    const asked = new URLSearchParams(location.search);
    document.body.classList.toggle("kiosk", asked.has("kiosk"));
    this.#theme = THEMES.includes(asked.get("theme")) ? asked.get("theme") : (kept() ?? "auto");
    this.#apply();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recoloured);
    byId("theme").addEventListener("click", () => this.#next());
    const full = byId("full-screen");
    full.hidden = !document.fullscreenEnabled;
    full.addEventListener("click", () => void toggleFullScreen());
    document.addEventListener("fullscreenchange", () => {
      write(full, document.fullscreenElement ? "Leave full screen" : "Full screen");
      document.body.classList.toggle("kiosk", asked.has("kiosk") || document.fullscreenElement !== null);
      void stayAwake();
    });
    document.addEventListener("visibilitychange", () => void stayAwake());
    void stayAwake();
  }

  #next() {
    this.#theme = THEMES[(THEMES.indexOf(this.#theme) + 1) % THEMES.length];
    try {
      localStorage.setItem(KEPT, this.#theme);
    } catch {
      // A browser that keeps nothing: then it holds until the page is left.
    }
    this.#apply();
    this.#recoloured();
  }

  #apply() {
    document.documentElement.dataset.theme = this.#theme;
    write(byId("theme"), { auto: "Theme: auto", dark: "Theme: dark", light: "Theme: light" }[this.#theme]);
  }
}

function kept() {
  try {
    const theme = localStorage.getItem(KEPT);
    return THEMES.includes(theme) ? theme : null;
  } catch {
    return null;
  }
}

async function toggleFullScreen() {
  try {
    await (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen());
  } catch {
    // The browser said no; there is nothing to be done about it.
  }
}

/** A wall should not go dark. The browser takes this back whenever the page is hidden. */
async function stayAwake() {
  if (!document.body.classList.contains("kiosk") || document.hidden) return;
  await navigator.wakeLock?.request("screen").catch(() => {});
}
