/**
 * Signing in and out. The server gives the browser a cookie that no script can read; the token in its answer is for
 * programs, and nothing here looks at it.
 */

import { byId, write } from "./dom.js";

export class Signing {
  #form = byId("signing").querySelector("form");
  #done;
  #failed;

  /** `done()` is called once somebody has signed in, `failed(why)` when signing out did not work. */
  constructor(done, failed) {
    [this.#done, this.#failed] = [done, failed];
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#signIn();
    });
    byId("sign-out").addEventListener("click", () => void this.#signOut());
    byId("another").addEventListener("click", () => void this.#signOut());
  }

  /** Ask for name and password, with what has to be said first. */
  ask(why = "") {
    this.#say(why);
    show("signing");
    this.#form.elements.username.focus();
  }

  /** Somebody is signed in who is no administrator. */
  refuse(why) {
    write(byId("refusal"), why);
    show("refused");
    byId("another").focus();
  }

  async #signIn() {
    const { username, password, go } = this.#form.elements;
    const body = JSON.stringify({ username: username.value.trim().toLowerCase(), password: password.value });
    const headers = { "Content-Type": "application/json" };
    go.disabled = true;
    this.#say("");
    try {
      const answer = await fetch("/v1/login", { method: "POST", headers, body });
      if (answer.ok) {
        void answer.body?.cancel();
        password.value = "";
        show("wall");
        this.#done();
      } else this.#say(await reason(answer));
    } catch {
      this.#say("No worker answers. Try again in a moment.");
    } finally {
      go.disabled = false;
    }
  }

  async #signOut() {
    try {
      const answer = await fetch("/v1/logout", { method: "POST" });
      if (!answer.ok && answer.status !== 401) throw new Error(String(answer.status));
    } catch {
      // The cookie is still there: to say that one is signed out would be a lie.
      this.#failed("Signing out failed: no worker answers.");
      return;
    }
    location.reload(); // the surest way to forget what was shown
  }

  #say(text) {
    write(byId("signing-problem"), text);
  }
}

/** Show one of the page's three faces: `wall`, `signing`, `refused`. */
export function show(face) {
  for (const name of ["wall", "signing", "refused"]) byId(name).hidden = name !== face;
  document.body.dataset.face = face;
}

async function reason(answer) {
  const problem = await answer.json().catch(() => ({}));
  const seconds = Number(answer.headers.get("Retry-After"));
  const wait = seconds ? ` Try again in ${seconds} s.` : "";
  return `${problem.detail || problem.title || `The server answered ${answer.status}.`}${wait}`;
}
