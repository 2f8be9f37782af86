"""The D-Chat client. Where to find what:

protocol.py    SSE decoder: bytes in, events out, no I/O
session.py     cursor, repeats, holes, connection state: pure; its docstring is the theory of operation
position.py    where a reader is in each room, and what counts as a repeat
outbox.py      what is still to be sent, in order, with idempotency keys: pure
backoff.py     how long to wait before the next try: pure
connection.py  the only file that opens a socket
follow.py      a session kept connected          deliver.py   an outbox emptied
updates.py     what an engine tells a face, as plain values
chat.py        all that a face shows: pure; room.py one room's counts, transcript.py what is shown of it
engine.py      what goes on between a face and the server; errands.py, pages.py, standings.py are its parts
config.py      profiles, folders                 tokens.py    where the sign-in token lies
bookmark.py    a reader's place, kept in a file  unsent.py    own messages, kept until they are sent
kept.py        drafts, levels, sent texts of a person
entrance.py    finding a server, signing in, making an account: for a face's first screen
search.py      finding messages, thread.py what answers one: asked of the server, or read back from pages
exported.py    a room in a file                  imports/     what was said in Slack, on IRC, in such a file
errors.py      what can go wrong, in words
terminal.py    other people's text made safe to print, colours, widths
deeds.py       what somebody did in a room, in words
cli/           `dchat`, the command line: one face over the session; others use the same files
commands.py    what a line of input means        completion.py completing one; fuzzy.py, pictures.py (emoji by name)
tui/           `dchat tui`, full screen in a terminal; its docstring says where what is
gui/           `dchat gui`, a window; its docstring, too
"""

__version__ = "0.1.0"
