"""Announcements of operators: shown by GET /api/v1/status and on the stream `venue`.

Design: an announcement is a NOTE with the hash of its text; the text is in the accounts store. At a
start those are shown that the log has.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from fairbook.accounts.logged_notes import ReadFrame, announcement_note, noted_at
from fairbook.accounts.sqlite_operators import Announcement, SqliteOperators

SHOWN_MAX: Final = 10  # the newest
TEXT_CHARACTERS_MAX: Final = 200


class Announcements:
    """Those that are shown, newest first. For the loop's thread."""

    def __init__(self, store: SqliteOperators, read_frame: ReadFrame) -> None:
        self._store = store
        self._read_frame = read_frame
        self._shown: list[Announcement] = []
        self.on_change: Callable[[], None] = lambda: None

    async def load(self) -> None:
        """Read those of before, at a start."""
        self._shown = await asyncio.to_thread(self._stored)

    def _stored(self) -> list[Announcement]:
        return [
            each
            for each in self._store.announcements(SHOWN_MAX)
            if noted_at(
                self._read_frame, each.position, announcement_note(each.text), each.operator
            )
        ]

    def texts(self) -> list[str]:
        """Newest first."""
        return [each.text for each in self._shown]

    async def add(self, announcement: Announcement) -> None:
        """Show one that is in the log."""
        await asyncio.to_thread(self._store.add_announcement, announcement)
        self._shown = [announcement, *self._shown][:SHOWN_MAX]
        self.on_change()

    async def end(self) -> None:
        """Show none of those that there are."""
        await asyncio.to_thread(self._store.end_announcements)
        self._shown = []
        self.on_change()
