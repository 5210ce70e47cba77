"""XML of any vocabulary: its text in document order, each piece after the elements that lead to it."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from core.documents import BlockKind, Parsed
from ingest.parsing.assembly import Assembly
from ingest.parsing.detection import XML
from ingest.parsing.xml_trees import local_name, xml_tree

_TITLES = ("title", "name", "subject")
# What fits on one screen is one block, however it nests.
_BLOCK_LINES = 24


def parse_xml(data: bytes) -> Parsed:
    """Running text as paragraphs, records as lines of `path: value`; attributes count as values, comments do not.

    Raises `UnreadableDocument`: "hostile" for entities, "malformed", "empty"; raises `RecursionError` where elements
    nest deeper than Python can.
    """
    root = xml_tree(data)
    assembly = Assembly()
    _add(assembly, root, "")
    title = next((" ".join((child.text or "").split()) for child in root if local_name(child) in _TITLES), "")
    return assembly.parsed(XML, title=title)


def _add(assembly: Assembly, element: Element, path: str) -> None:
    """Add one block for an element of running text or few values, else blocks part by part."""
    if _is_prose(element):
        assembly.add(BlockKind.PARAGRAPH, " ".join("".join(_text(element)).split()))
        return
    if len(element) == 0 or _few_lines(element):
        assembly.add(BlockKind.PARAGRAPH, "\n".join(_lines(element, path)))
        return
    assembly.add(BlockKind.PARAGRAPH, "\n".join(_own_lines(element, path)))
    for child in element:
        # The root's name stands before everything and says nothing.
        _add(assembly, child, _joined(path, local_name(child)))


def _few_lines(element: Element) -> bool:
    """Whether an element's values are few, and none of them running text that deserves a block of its own."""
    descendants = 0
    for descendant in element.iter():
        descendants += 1 + len(descendant.attrib)
        if descendants > _BLOCK_LINES or (descendant is not element and _is_prose(descendant)):
            return False
    return True


def _is_prose(element: Element) -> bool:
    """Whether text and elements are mixed, as in a paragraph with emphasis."""
    if len(element) == 0:
        return False
    return bool((element.text or "").strip()) or any((child.tail or "").strip() for child in element)


def _text(element: Element) -> Iterator[str]:
    """All text within an element; comments and instructions are left out, what follows them is not."""
    if isinstance(element.tag, str):
        yield element.text or ""
        for child in element:
            yield from _text(child)
            yield child.tail or ""


def _lines(element: Element, path: str) -> Iterator[str]:
    yield from _own_lines(element, path)
    for child in element:
        yield from _lines(child, _joined(path, local_name(child)))


def _own_lines(element: Element, path: str) -> Iterator[str]:
    """An element's attributes and its own text, after the path to it."""
    if not isinstance(element.tag, str):
        return
    for name, value in element.attrib.items():
        if value.strip():
            yield f"{_joined(path, name.rpartition('}')[2])}: {value}"
    text = " ".join((element.text or "").split())
    if text:
        yield f"{path}: {text}" if path else text


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
