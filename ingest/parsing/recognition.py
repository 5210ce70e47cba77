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
_OUT_OF_MEMORY = ("alloc", "insufficient memory")


def recognized(picture: Image) -> list[ReadLine]:
    """The lines in an RGB picture, in no order worth keeping; none if it shows no text. Raises `MemoryError`."""
    picture.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    pixels: NDArray[np.uint8] = np.asarray(picture)[:, :, ::-1]
    try:
        found = _engine()(pixels)
    except (ONNXRuntimeError, cv2.error) as error:
        # Both report a refused allocation as they report all else.
        if any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
            raise MemoryError from error
        raise
    if not isinstance(found, RapidOCROutput) or found.boxes is None or found.txts is None:
        return []
    return [_line(text, box) for text, box in zip(found.txts, found.boxes, strict=True)]


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
