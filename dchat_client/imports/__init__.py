"""What was said elsewhere, brought into rooms: Slack's exports, IRC logs, and rooms that `dchat export` wrote.

    said.py      one message of a source, and the text it becomes
    slack.py     Slack's export: a ZIP file or a folder      slack_text.py  its markup      tree.py  files in either
    irc.py       logs of irssi, WeeChat, ZNC, mIRC, HexChat and what resembles them
    ndjson.py    our own export
    journal.py   what is in the room already
    carry.py     from a source into a room

Sources are read as streams: a line, or a day, at a time. What stands in them is other people's text and may be made to
do harm; nothing of it becomes a path, and every size has a bound.
"""
