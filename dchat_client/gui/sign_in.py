"""The page that asks who one is."""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from tkinter import ttk

from dchat_client.address import parse_urls
from dchat_client.config import Profile
from dchat_client.errors import ChatError
from dchat_client.gui.account import Wish
from dchat_client.gui.theme import Theme
from dchat_client.terminal import clean

SHORTEST_PASSWORD = 8


class SignIn(ttk.Frame):
    """`on_sign_in` is called when the form is filled in; `failed` tells how that went."""

    def __init__(
        self,
        parent: tkinter.Misc,
        theme: Theme,
        profile: Profile,
        on_sign_in: Callable[[Wish], None],
    ) -> None:
        super().__init__(parent)
        self._on_sign_in = on_sign_in
        self._new = False
        self._openly_at = ""
        """The address of which the person knows that the way there is not encrypted."""
        self._url = tkinter.StringVar(self, profile.url)
        self._user = tkinter.StringVar(self, profile.username or "")
        self._password = tkinter.StringVar(self)
        self._again = tkinter.StringVar(self)
        px = theme.px
        form = ttk.Frame(self)
        form.place(relx=0.5, rely=0.45, anchor="center")
        ttk.Label(form, text="D-Chat", style="Title.TLabel").pack(anchor="w", pady=(0, px(16)))
        self._entries = [
            self._field(form, theme, "Server", self._url),
            self._field(form, theme, "User name", self._user),
            self._field(form, theme, "Password", self._password, hidden=True),
        ]
        self._again_frame = ttk.Frame(form)
        self._again_entry = self._field(self._again_frame, theme, "Password, once more", self._again, hidden=True)
        self._said = ttk.Label(form, style="Dim.TLabel", wraplength=px(340), justify="left")
        self._buttons = ttk.Frame(form)
        self._go = ttk.Button(self._buttons, text="Sign in", style="Accent.TButton", command=self.submit)
        self._other = ttk.Button(self._buttons, text="Make an account", command=self._toggle)
        self._go.pack(side="left")
        self._other.pack(side="left", padx=px(8))
        self._buttons.pack(side="bottom", anchor="w", pady=(px(14), 0))
        self._said.pack(side="bottom", anchor="w", pady=(px(8), 0))
        for entry in (*self._entries, self._again_entry):
            entry.bind("<Return>", lambda _: self.submit())
        for button in (self._go, self._other):
            button.bind("<Return>", lambda event: event.widget.invoke())
        self.after_idle(self.begin)

    def begin(self) -> None:
        """Put the cursor where something is missing."""
        self._entries[1 if not self._user.get() else 2].focus_set()

    def submit(self) -> str:
        """Check what is filled in and hand it over."""
        server, username, password = self._url.get().strip(), self._user.get().strip(), self._password.get()
        try:
            parse_urls(server)
        except ValueError as error:
            return self._say(f"The server address is not usable: {error}.", self._entries[0])
        if not username:
            return self._say("Who are you? The user name is missing.", self._entries[1])
        if not password:
            return self._say("The password is missing.", self._entries[2])
        if self._new and len(password) < SHORTEST_PASSWORD:
            return self._say(f"A password has at least {SHORTEST_PASSWORD} characters.", self._entries[2])
        if self._new and password != self._again.get():
            return self._say("The two passwords differ.", self._again_entry)
        self._said.configure(text="One moment …", style="Dim.TLabel")
        self._go.state(["disabled"])
        self._on_sign_in(Wish(server, username, password, self._new, openly=server == self._openly_at))
        return "break"

    def failed(self, error: ChatError) -> None:
        """Say why it did not work, and what to do."""
        self._go.state(["!disabled"])
        match error.code:
            case "bad_credentials":
                words = f"The password is wrong, or there is no account {self._user.get().strip()} yet."
                self._other.configure(text="Make this account")
                self._say(words, self._entries[2])
                self._entries[2].selection_range(0, "end")
            case "username_taken":
                self._become(new=False)
                self._say("That account exists already, with another password.", self._entries[2])
            case "not_private":
                self._openly_at = self._url.get().strip()
                self._say(clean(str(error)), self._entries[2])
            case _:
                self._say(clean(str(error)), self._entries[2])

    def say(self, words: str) -> None:
        """Say why somebody has to sign in again."""
        self._said.configure(text=words, style="Bad.TLabel")

    def _say(self, words: str, entry: ttk.Entry) -> str:
        self.say(words)
        entry.focus_set()
        return "break"

    def _toggle(self) -> None:
        self._become(new=not self._new)
        self._said.configure(text="")
        (self._again_entry if self._new and self._password.get() else self._entries[1]).focus_set()

    def _become(self, *, new: bool) -> None:
        self._new = new
        self._go.configure(text="Make the account" if new else "Sign in")
        self._other.configure(text="I have an account" if new else "Make an account")
        if new:
            self._again_frame.pack(fill="x")
        else:
            self._again_frame.pack_forget()
            self._again.set("")

    @staticmethod
    def _field(
        parent: ttk.Frame, theme: Theme, name: str, value: tkinter.StringVar, *, hidden: bool = False
    ) -> ttk.Entry:
        ttk.Label(parent, text=name, style="Dim.TLabel").pack(anchor="w")
        entry = ttk.Entry(parent, textvariable=value, width=36, show="•" if hidden else "", font=theme.fonts["body"])
        entry.pack(fill="x", pady=(0, theme.px(8)))
        return entry
