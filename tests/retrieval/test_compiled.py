"""What was compiled is used by the Python it was compiled for, and by no other."""

from __future__ import annotations

import pytest

from retrieval import native_scan, scoring
from retrieval.compiled import compiled


@pytest.mark.parametrize(("name", "layout"), [("bm25", scoring._LAYOUT), ("scan", native_scan._LAYOUT)])
def test_a_library_of_other_sources_is_as_good_as_none(name: str, layout: int) -> None:
    assert compiled(name, layout) is not None, f"retrieval._{name} was not built: is there a C compiler?"
    assert compiled(name, layout + 1) is None


def test_where_nothing_was_built_there_is_none() -> None:
    assert compiled("nothing_of_that_name", 1) is None
