// Signing in, and making an account. The page never keeps the token of the answer: the session cookie, which no script
// can read, is all it needs.

import { byId } from "./dom.js";
import { problem } from "./dialogs.js";

const NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/;

export class Entrance {
  #isNew = false;

  /** `client`: `signIn(username, password)` and `register(about)`. */
  constructor(client) {
    byId("entrance-switch").addEventListener("click", () => this.#setNew(!this.#isNew));
    byId("entrance-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const wrong = this.#wrong();
      if (wrong) return this.#say(...wrong);
      byId("entrance-submit").disabled = true;
      try {
        const who = this.#who();
        await (this.#isNew ? client.register(who) : client.signIn(who.username, who.password));
        byId("entrance-form").reset();
      } catch (error) {
        this.#refused(error);
      } finally {
        byId("entrance-submit").disabled = false;
      }
    });
  }

  /** Show the form; `reason`: why, when somebody was signed in before. */
  show(reason) {
    byId("entrance").hidden = false;
    problem("entrance-problem", reason ?? null);
    document.title = "Sign in · D-Chat";
    byId("username").focus();
  }

  hide() {
    byId("entrance").hidden = true;
  }

  #setNew(isNew) {
    this.#isNew = isNew;
    byId("entrance-title").textContent = isNew ? "Make an account" : "Sign in to D-Chat";
    byId("entrance-submit").textContent = isNew ? "Make the account" : "Sign in";
    byId("entrance-question").textContent = isNew ? "Been here before?" : "New here?";
    byId("entrance-switch").textContent = isNew ? "Sign in" : "Make an account";
    byId("display-name-field").hidden = !isNew;
    byId("username-hint").hidden = !isNew;
    byId("password").autocomplete = isNew ? "new-password" : "current-password";
    byId("invite-field").hidden = true;
    problem("entrance-problem", null);
    byId("username").focus();
  }

  #wrong() {
    if (!NAME.test(byId("username").value.trim())) {
      return ["A user name has small letters, digits, and . _ - ; it begins with a letter or a digit.", "username"];
    }
    return byId("password").value ? null : ["The password is missing.", "password"];
  }

  #who() {
    const filled = (id) => byId(id).value.trim() || undefined;
    const [displayName, invite] = [filled("display-name"), filled("invite")];
    return { username: filled("username"), password: byId("password").value, displayName, invite };
  }

  #refused(error) {
    if (this.#isNew && error.code === "registration_closed") byId("invite-field").hidden = false;
    this.#say(error.message, error.code === "bad_credentials" ? "password" : "username");
  }

  #say(words, field) {
    problem("entrance-problem", words);
    byId(field).focus();
  }
}
