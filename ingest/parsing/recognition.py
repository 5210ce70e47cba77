"""Optical character recognition: a picture's pixels in, its lines of text with their boxes out (RapidOCR, on CPU)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidocr import RapidOCR
from rapidocr.inference_engine.onnxruntime.main import ONNXRuntimeError
from rapidocr.utils.output import RapidOCROutput

from ingest.parsing.reading_order import ReadLine

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE_PIXELS = 1_600
"""The longest side that is looked at: an A4 page at 137 dpi. Detection's memory grows with the area."""
# The engine enlarges what is less wide or high, which takes the longer the flatter a picture is; a margin is cheap.
_ENLARGED_PIXELS = 736
# A glance at so much of a large picture tells whether there is any text in it, in a third of the time of reading.
_GLANCE_PIXELS, _LARGE_PIXELS = 736, 1_200
# Fewer points than these, of a picture at half its size, are specks; a page's number has more.
_SPECKS, _CONTRAST = 12, 50
_OUT_OF_MEMORY = ("alloc", "insufficient memory")


def recognized(picture: Image) -> list[ReadLine]:
    """The lines in an RGB picture, in no order worth keeping; none if it shows no text. Raises `MemoryError`."""
    picture.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    found = _looked_at(_with_margin(picture), read=True)
    if not isinstance(found, RapidOCROutput) or found.boxes is None or found.txts is None:
        return []
    return [_line(text, box) for text, box in zip(found.txts, found.boxes, strict=True)]


def is_blank(picture: Image) -> bool:
    """Whether a picture is of one colour but for specks."""
    shades = np.asarray(picture.convert("L").reduce(2), dtype=np.int16)
    return int(np.count_nonzero(np.abs(shades - np.median(shades)) > _CONTRAST)) < _SPECKS


def shows_text(picture: Image) -> bool:
    """Whether anything in an RGB picture looks like text; a small one is to be looked at. Raises `MemoryError`."""
    if max(picture.size) <= _LARGE_PIXELS:
        return True
    glance = picture.copy()
    glance.thumbnail((_GLANCE_PIXELS, _GLANCE_PIXELS))
    boxes = getattr(_looked_at(glance, read=False), "boxes", None)
    return boxes is not None and len(boxes) > 0


def _with_margin(picture: Image) -> Image:
    """A flat or narrow picture on a square, or on as much of one as keeps the engine from enlarging it."""
    width, height = picture.size
    side = min(_ENLARGED_PIXELS, max(width, height))
    if min(width, height) >= side:
        return picture
    framed = picture.resize((max(width, side), max(height, side)), box=(0, 0, 1, 1))
    framed.paste(picture, (0, 0))
    return framed


def _looked_at(picture: Image, *, read: bool) -> object:
    pixels: NDArray[np.uint8] = np.asarray(picture)[:, :, ::-1]
    try:
        # The engine goes on as it was last told to, so that it is told everything each time.
        return _engine()(pixels, use_det=True, use_cls=read, use_rec=read)
    except (ONNXRuntimeError, cv2.error) as error:
        # Both report a refused allocation as they report all else.
        if any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
            raise MemoryError from error
        raise


@cache
def _engine() -> RapidOCR:
    """One engine for the life of the process; its models lie in its wheel, and nothing is fetched.

    One thread each: the parser process may start none.
    """
    cv2.setNumThreads(0)
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.max_side_len": SIDE_PIXELS,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _line(text: str, box: NDArray[np.float32]) -> ReadLine:
    """The upright box around a box that may lie askew (four corners)."""
    (left, top), (right, bottom) = box.min(axis=0), box.max(axis=0)
    return ReadLine(text, float(left), float(top), float(right), float(bottom))
