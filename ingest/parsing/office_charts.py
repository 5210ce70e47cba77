"""Charts of Office documents (ECMA-376, 21.2): the title, and the values that were drawn last, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ingest.parsing.xml_trees import local_name, xml_tree

_SERIES = 256
_POINTS = 10_000
_GENERAL_DIGITS = 11  # Excel's own width of a number in the format General
_CATEGORIES = ("cat", "xVal")
_VALUES = ("val", "yVal")


@dataclass(frozen=True)
class ChartTable:
    """A chart's title, empty if it has none, and its rows of cells: the series' names, then each category's values."""

    title: str
    rows: list[list[str]]


def chart_table(part: bytes) -> ChartTable:
    """What a chart part shows. Raises `UnreadableDocument` as `xml_tree` does."""
    root = xml_tree(part)
    series = [element for element in root.iter() if local_name(element) == "ser"][:_SERIES]
    columns = [_points(one, _VALUES) for one in series]
    categories: dict[int, str] = {}
    for one in series:
        categories = {**_points(one, _CATEGORIES), **categories}
    places = sorted({*categories, *(place for column in columns for place in column)})[:_POINTS]
    rows = [[categories.get(place, ""), *(column.get(place, "") for column in columns)] for place in places]
    names = [_name(one) for one in series]
    return ChartTable(_title(root), [["", *names], *rows] if rows else [])


def _title(root: Element) -> str:
    title = next((element for chart in _children(root, "chart") for element in _children(chart, "title")), None)
    return " ".join("".join(_texts(title, "t")).split()) if title is not None else ""


def _name(series: Element) -> str:
    return " ".join(" ".join(text for tx in _children(series, "tx") for text in _texts(tx, "v")).split())


def _points(series: Element, names: tuple[str, ...]) -> dict[int, str]:
    """The cached values of a series by place; of several levels of categories the innermost, which comes first."""
    found: dict[int, str] = {}
    for element in series:
        if local_name(element) in names:
            for point in element.iter():
                place = point.get("idx", "")
                if local_name(point) == "pt" and place.isdecimal():
                    found.setdefault(int(place), _number("".join(_texts(point, "v"))))
    return found


def _number(text: str) -> str:
    try:
        return f"{float(text):.{_GENERAL_DIGITS}g}"
    except ValueError:
        return text.strip()


def _texts(element: Element, name: str) -> Iterator[str]:
    return (one.text or "" for one in element.iter() if local_name(one) == name)


def _children(element: Element, name: str) -> list[Element]:
    return [child for child in element if local_name(child) == name]
