"""Pages that are pictures of text, of a PDF or a TIFF: recognized one after the other while the time lasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.parsing.reading_order import paragraphs
from ingest.parsing.time_left import PictureTime

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass
class ScannedPages:
    """Reads pages while there is time for one as slow as the slowest before it.

    `unread` are the numbers of the pages that it came too late for.
    """

    time: PictureTime = field(default_factory=PictureTime)
    unread: list[int] = field(default_factory=list)

    def read(self, number: int, picture: Callable[[], Image]) -> list[str]:
        """The paragraphs that are recognized on a page, of which `picture` makes one in RGB; none where it is late."""
        if self.unread or not self.time.suffices():
            self.unread.append(number)
            return []
        with self.time.taken():
            page = picture()
            # Loading the engine takes memory and a moment that most documents need not pay for.
            from ingest.parsing.recognition import is_blank, recognized

            return [] if is_blank(page) else paragraphs(recognized(page))

    def cause(self) -> str:
        """Why some pages are missing, in words for the document's owner; nothing where none is."""
        if not self.unread:
            return ""
        return (
            f"{_pages(self.unread)} scanned and could not be recognized in the time of one document; "
            "run OCR on the file first, or split it."
        )


def _pages(numbers: Sequence[int]) -> str:
    """`Page 3 is`, `Pages 3 and 7 are`, `Pages 3, 7 and 40 more are`."""
    if len(numbers) == 1:
        return f"Page {numbers[0]} is"
    shown = ", ".join(map(str, numbers[:5]))
    return f"Pages {shown} are" if len(numbers) <= 5 else f"Pages {shown} and {len(numbers) - 5:,} more are"
