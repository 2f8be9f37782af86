"""The window: it holds the pages, empties the mailbox in small slices, and ends everything in bounded time."""

from __future__ import annotations

import time
import tkinter
from collections.abc import Callable
from dataclasses import replace
from tkinter import ttk

from dchat_client.chat import Chat
from dchat_client.config import Folders, Profile
from dchat_client.errors import ChatError
from dchat_client.gui import garbage
from dchat_client.gui import theme as looks
from dchat_client.gui.account import Account, Wish, sign_in, sign_out, token_of
from dchat_client.gui.chat_page import ChatPage
from dchat_client.gui.keyboard import Keyboard
from dchat_client.gui.mailbox import Mailbox
from dchat_client.gui.menu import Menu
from dchat_client.gui.message_acts import MessageActs
from dchat_client.gui.network import Ended, Letter, Network, Reply
from dchat_client.gui.notify import Notifier
from dchat_client.gui.preferences import THEMES, Preferences
from dchat_client.gui.room_acts import RoomActs
from dchat_client.gui.sign_in import SignIn
from dchat_client.gui.timers import cancel_orphans
from dchat_client.kept import Kept
from dchat_client.terminal import clean

SLICE_S = 0.008
"""How long letters are taken before Tk gets its turn again."""
REST_MS = 40
"""The pause when the mailbox was empty."""
BUSY_DRAW_S = 0.1
"""While letters keep coming, the page is drawn that often."""
ASK_DESKTOP_S = 5.0
CLOSE_S = 3.0


class Window:
    """One window for one profile. `show` it; it returns when it was closed."""

    def __init__(self, folders: Folders, profile: Profile) -> None:
        looks.before_the_window()
        self.root = tkinter.Tk(className="D-Chat")
        self.root.withdraw()
        self._folders, self._profile = folders, profile
        self._kept_in = folders.state / "gui" / f"{profile.name}.json"
        self.preferences = Preferences.load(self._kept_in)
        self.theme = looks.Theme(self.root, zoom=self.preferences.zoom)
        self.theme.use(dark=self.preferences.theme == "dark")
        self._mailbox: Mailbox[Letter] = Mailbox()
        self.network = Network(self._mailbox)
        self.chat = Chat()
        self._account: Account | None = None
        self.page: ChatPage | None = None
        self.form: SignIn | None = None
        self._keyboard: Keyboard | None = None
        self._drawn_at = 0.0
        self._asked_desktop_at = 0.0
        self._closed = False
        self._messages = MessageActs()
        self._rooms = RoomActs(self._messages, self.quit)
        self._menu = Menu(self.root, self.theme, self._acts())
        self._bind()

    def show(self) -> None:
        """Run until the window is closed."""
        was_on = garbage.take_over()
        try:
            self.open()
            self.root.mainloop()
        finally:
            self.network.close(CLOSE_S)
            garbage.hand_back(was_on)

    def open(self) -> None:
        """Start the network, and show the chat or, when nobody is signed in, the form."""
        self.root.title("D-Chat")
        self.root.minsize(460, 320)
        self.root.geometry(self._geometry())
        self.network.start()
        token = token_of(self._folders, self._profile)
        if token is not None:
            self._enter(Account(self._profile, token))
        else:
            self._show_form()
        self.root.deiconify()
        self._follow_desktop()
        self.root.after(1, self._empty)
        self._collect()

    # Signing in and out

    def _show_form(self, words: str = "") -> None:
        self._clear()
        self.form = SignIn(self.root, self.theme, self._profile, self._sign_in)
        self.form.pack(fill="both", expand=True)
        if words:
            self.form.say(words)

    def _sign_in(self, wish: Wish) -> None:
        self.network.do(lambda: sign_in(self._folders, self._profile, wish), self._signed)

    def _signed(self, result: Account | ChatError) -> None:
        if isinstance(result, Account):
            self._enter(result)
        elif self.form is not None:
            self.form.failed(result)

    def _enter(self, account: Account) -> None:
        self._clear()
        self._account, self._profile, self.chat = account, account.profile, Chat()
        messages, rooms = self._messages, self._rooms
        page = self.page = messages.page = rooms.page = ChatPage(
            self.root,
            self.theme,
            self.chat,
            self.network,
            Kept.of(self._folders, account.profile),
            Notifier(),
            on_send=rooms.typed,
            on_press=messages.press,
            on_escape=lambda: keyboard.escape(),
            on_members=rooms.members,
            on_topic=rooms.topic,
        )
        page.pack(fill="both", expand=True)
        if self.preferences.sash:
            self.root.after_idle(lambda: page.place_sash(self.preferences.sash))
        keyboard = self._keyboard = Keyboard(page, messages)
        self._menu.enable(True)
        self.network.sign_in(account.profile.urls, account.token, page.kept.folder)

    def _sign_out(self) -> None:
        account = self._account
        if account is None:
            return
        self.network.sign_out()
        self._keep()
        self._show_form("One moment: signing out …")

        def told(result: object) -> None:
            if self.form is not None:
                failed = isinstance(result, ChatError)
                self.form.say("Signed out here, but the server could not be told." if failed else "Signed out.")

        self.network.do(lambda: sign_out(self._folders, account), told)

    def _clear(self) -> None:
        for page in (self.page, self.form):
            if page is not None:
                page.destroy()
        self.page = self.form = self._account = self._keyboard = None
        self._messages.about = None
        self._menu.enable(False)
        self.theme.forget_gone()
        cancel_orphans(self.root)

    # The mailbox

    def _empty(self) -> None:
        """Take letters for one slice, draw, and come back soon."""
        if self._closed:
            return
        try:
            for letter in self._mailbox.take(SLICE_S):
                self._take(letter)
            now = time.monotonic()
            if self.page is not None and (self._mailbox.is_empty or now > self._drawn_at + BUSY_DRAW_S):
                self.page.draw()
                self._drawn_at = time.monotonic()
                self._entitle()
        finally:
            # Whatever went wrong with one letter, the next ones are taken.
            if not self._closed:
                self.root.after(REST_MS if self._mailbox.is_empty else 1, self._empty)

    def _collect(self) -> None:
        if not self._closed:
            garbage.collect()
            self.root.after(garbage.EVERY_MS, self._collect)

    def _take(self, letter: Letter) -> None:
        if isinstance(letter, Reply):
            letter.then(letter.value)
        elif isinstance(letter, Ended):
            if letter.run == self.network.run and self._account is not None:
                self._keep()
                self._show_form(f"Signed out: {clean(str(letter.error))}")
        elif self.page is not None:
            self.page.changed(self.chat.apply(letter, time.monotonic()))

    def _entitle(self) -> None:
        room = self.page.room if self.page is not None else None
        calls = sum(each.mentions or (each.unread if each.kind == "dm" else 0) for each in self.chat.rooms.values())
        title = f"{clean(room.title)} – D-Chat" if room is not None else "D-Chat"
        self.root.title(f"({calls}) {title}" if calls else title)

    # Keys

    def _acts(self) -> dict[str, Callable[[], object]]:
        messages, rooms = self._messages, self._rooms
        return {
            "Go to …": rooms.switch,
            "Make a room …": rooms.make,
            "Find …": rooms.search,
            "Connect again": rooms.reconnect,
            "Sign out": self._sign_out,
            "Quit": self.quit,
            "Room above": lambda: self._on_page(lambda page: page.step(-1)),
            "Room below": lambda: self._on_page(lambda page: page.step(1)),
            "Next unread": lambda: self._on_page(lambda page: page.step(1, unread=True)),
            "Last unread": lambda: self._on_page(lambda page: page.step(-1, unread=True)),
            "Who is here": rooms.members,
            "Topic …": rooms.topic,
            "Leave …": lambda: self._on_page(lambda page: rooms.leave(page.opened or "")),
            "Tell me of every message": lambda: rooms.notify("all"),
            "Tell me of mentions": lambda: rooms.notify("mentions"),
            "Tell me of nothing": lambda: rooms.notify("none"),
            "Edit the last one": messages.edit_last,
            "Choose one": lambda: self._keyboard and self._keyboard.go_round(),
            "To the newest": lambda: self._on_page(lambda page: page.view.to_bottom()),
            "As the desktop": lambda: self.set_theme("auto"),
            "Light": lambda: self.set_theme("light"),
            "Dark": lambda: self.set_theme("dark"),
            "Dark or light": lambda: self.set_theme("light" if self.theme.palette.is_dark else "dark"),
            "Larger": lambda: self.theme.set_zoom(self.theme.zoom * 1.1),
            "Smaller": lambda: self.theme.set_zoom(self.theme.zoom / 1.1),
            "Usual size": lambda: self.theme.set_zoom(1.0),
            "Keys and commands": rooms.help,
        }

    def _on_page(self, act: Callable[[ChatPage], None]) -> None:
        if self.page is not None:
            act(self.page)

    def _bind(self) -> None:
        self.root.protocol("WM_DELETE_WINDOW", self.quit)
        self.root.bind("<FocusIn>", lambda _: self._focused())
        self.root.bind("<FocusOut>", lambda _: self.root.after(50, self._focused))
        self.root.bind_class("TEntry", "<Control-a>", lambda event: _select_all(event.widget))
        self.root.bind_all("<Control-equal>", lambda _: self.theme.set_zoom(self.theme.zoom * 1.1))

    # Looks

    def set_theme(self, theme: str) -> None:
        """Be dark, light, or as the desktop is ("auto"), and remember it."""
        self.preferences = replace(self.preferences, theme=theme if theme in THEMES else "auto")
        if theme == "auto":
            self._asked_desktop_at = 0.0
            self._follow_desktop()
        else:
            self._be_dark(theme == "dark")

    def _be_dark(self, dark: bool) -> None:
        if dark != self.theme.palette.is_dark:
            self.theme.use(dark=dark)

    def _focused(self) -> None:
        if self._closed:
            return
        try:
            has_focus = self.root.focus_displayof() is not None
        except KeyError:  # a menu of Tk's own, which tkinter does not know
            has_focus = True
        if self.page is not None:
            self.page.focused(has_focus)
        if has_focus:
            self._follow_desktop()

    def _follow_desktop(self) -> None:
        """Ask the desktop whether it is dark, when that is wanted, each time the window comes to the front."""
        now = time.monotonic()
        if self.preferences.theme != "auto" or now < self._asked_desktop_at + ASK_DESKTOP_S:
            return
        self._asked_desktop_at = now
        self.network.do(looks.desktop_is_dark_soon, self._desktop_said)

    def _desktop_said(self, dark: bool | ChatError) -> None:
        if self.preferences.theme == "auto" and isinstance(dark, bool):
            self._be_dark(dark)

    def _geometry(self) -> str:
        screen_width, screen_height = self.root.winfo_screenwidth(), self.root.winfo_screenheight()
        usual = f"{min(self.theme.px(960), screen_width - 40)}x{min(self.theme.px(640), screen_height - 80)}"
        size, plus, place = self.preferences.geometry.partition("+")
        if not plus:
            return size or usual
        x, _, y = place.partition("+")
        # A place on a screen that is not there any more would hide the window.
        fits = x.isdecimal() and y.isdecimal()
        fits = fits and int(x) < screen_width - 80 and int(y) < screen_height - 80
        return f"{size}+{x}+{y}" if fits else size

    # The end

    def quit(self) -> None:
        """Close. What is not sent yet is kept and sent the next time."""
        if not self._closed:
            self._closed = True
            self._keep()
            for pending in self.root.tk.splitlist(self.root.tk.call("after", "info")):
                self.root.tk.call("after", "cancel", pending)
            self.root.destroy()

    def _keep(self) -> None:
        """Write down what is to be the same next time."""
        page, known = self.page, self.preferences
        if page is not None:
            page.keep_draft()
            known = replace(known, sash=page.sash)
        self.preferences = replace(known, geometry=self.root.geometry(), zoom=self.theme.zoom)
        self.preferences.save(self._kept_in)


def _select_all(entry: tkinter.Misc) -> str:
    if isinstance(entry, ttk.Entry):
        entry.selection_range(0, "end")
        entry.icursor("end")
    return "break"
