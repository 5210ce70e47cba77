"""Pictures within office documents: what they show of text is recognized, within bounds of number, size and time."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass, field

from PIL import Image

from core.documents import BlockKind
from ingest.parsing.assembly import Assembly
from ingest.parsing.image import FORMATS, PIXELS, on_white
from ingest.parsing.limits import MIB
from ingest.parsing.reading_order import paragraphs
from ingest.parsing.time_left import PictureTime

PICTURES = 50
"""Pictures of one document that are looked at, each one once however often it is shown."""
PICTURE_BYTES = 20 * MIB
# A line of print that can be recognized is about so large; what is smaller is an icon, a bullet or a rule.
_LEAST_SIDE, _LEAST_PIXELS = 20, 8_000


@dataclass
class PictureReader:
    """Recognizes the text of one document's pictures, in the order in which they are asked for."""

    time: PictureTime = field(default_factory=PictureTime)
    seen: set[bytes] = field(default_factory=set)
    looked_at: int = 0
    left_out: int = 0
    """Pictures that might show text and for which there was no room or no time."""

    def add_to(self, assembly: Assembly, data: bytes, *, page: int | None = None) -> None:
        """Add what `texts` tells of a picture as recognized text."""
        for text in self.texts(data):
            assembly.add(BlockKind.IMAGE_TEXT, text, page=page)

    def texts(self, data: bytes) -> list[str]:
        """The paragraphs that a picture shows.

        None for one that was looked at before, is an icon, has no pixels of a kind that we read, or is damaged: the
        document around it is not to blame.
        """
        digest = hashlib.sha256(data).digest()
        if len(data) > PICTURE_BYTES or digest in self.seen:
            return []
        self.seen.add(digest)
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if not _may_show_text(image):
                    return []
                if self.looked_at >= PICTURES or not self.time.suffices():
                    self.left_out += 1
                    return []
                self.looked_at += 1
                return self._recognized(on_white(image))
        except MemoryError:
            self.left_out += 1
            return []
        except Exception:  # noqa: BLE001 - Pillow and the engine raise anything on broken pictures, and the rest can be read
            return []

    def cause(self) -> str:
        """Why some pictures are missing, in words for the document's owner; nothing where none is."""
        if not self.left_out:
            return ""
        which = "One picture was" if self.left_out == 1 else f"{self.left_out:,} pictures were"
        return f"{which} not looked at for text: at most {PICTURES} are, in the time of one document; split it."

    def _recognized(self, picture: Image.Image) -> list[str]:
        # Loading the engine takes memory and a moment that most documents need not pay for.
        from ingest.parsing.recognition import is_blank, recognized, shows_text

        with self.time.taken():
            return paragraphs(recognized(picture)) if not is_blank(picture) and shows_text(picture) else []


def packed_picture(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a picture in a document's package; none where there is none, or one too large or damaged."""
    try:
        return archive.read(name) if archive.getinfo(name).file_size <= PICTURE_BYTES else b""
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return b""


def _may_show_text(image: Image.Image) -> bool:
    """Whether a picture is no icon, and no larger than what is decoded, by what it claims."""
    width, height = image.size
    return min(width, height) >= _LEAST_SIDE and _LEAST_PIXELS <= width * height <= PIXELS
