"""What was compiled is used by the Python it was compiled for, and by no other."""

from __future__ import annotations

import pytest

from core.compiled import compiled
from governance.access import bitmaps
from inference import amx_bert
from retrieval import native_scan, scoring


@pytest.mark.parametrize(
    ("module", "layout"),
    [
        ("governance._flags", bitmaps._LAYOUT),
        ("inference._bert_amx", amx_bert._LAYOUT),
        ("retrieval._bm25", scoring._LAYOUT),
        ("retrieval._scan", native_scan._LAYOUT),
    ],
)
def test_a_library_of_other_sources_is_as_good_as_none(module: str, layout: int) -> None:
    assert compiled(module, layout) is not None, f"{module} was not built: is there a C compiler?"
    assert compiled(module, layout + 1) is None


def test_where_nothing_was_built_there_is_none() -> None:
    assert compiled("retrieval._nothing_of_that_name", 1) is None
