"""What stands on an Excel sheet beside its cells: charts, pictures, comments (ECMA-376, 18.7; [MS-XLSX] 2.6.205)."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ingest.parsing.office_charts import ChartTable, chart_table
from ingest.parsing.xml_trees import local_name, xml_tree

_WORKBOOK = "xl/workbook.xml"
_PERSONS = "xl/persons/"
# Excel writes a comment that has answers twice; the older copy names this in place of its author.
_THREAD = "tc="
_DATE_CHARACTERS = len("2026-06-18")


@dataclass(frozen=True)
class SheetExtras:
    """A sheet's charts, its comments with authors and cells, and the parts of its pictures, in the file's order."""

    charts: list[ChartTable]
    comments: list[str]
    pictures: list[str]


def sheet_extras(package: zipfile.ZipFile) -> dict[str, SheetExtras]:
    """What each visible sheet holds beside its cells, by the name of the sheet. Raises as `xml_tree` does."""
    names = frozenset(package.namelist())
    if not any(name.startswith(("xl/charts/", "xl/comments", "xl/threadedComments/", "xl/media/")) for name in names):
        return {}
    reader = _Reader(package, names)
    parts = {identity: target for identity, _, target in reader.relations(_WORKBOOK)}
    found = {}
    for sheet in xml_tree(package.read(_WORKBOOK)).iter():
        if local_name(sheet) == "sheet" and sheet.get("state", "visible") == "visible":
            part = parts.get(_relation_of(sheet), "")
            pictures = list(dict.fromkeys(reader.pictures(part)))
            extras = SheetExtras(list(reader.charts(part)), list(reader.comments(part)), pictures)
            if extras.charts or extras.comments or extras.pictures:
                found[sheet.get("name", "")] = extras
    return found


@dataclass(frozen=True)
class _Reader:
    package: zipfile.ZipFile
    names: frozenset[str]

    def relations(self, part: str) -> Iterator[tuple[str, str, str]]:
        """The id, the kind and the target of each relation of a part to another one in the package."""
        folder, name = posixpath.split(part)
        rels = posixpath.join(folder, "_rels", f"{name}.rels")
        if rels not in self.names:
            return
        for relation in xml_tree(self.package.read(rels)):
            target = posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/")
            if target in self.names:
                yield relation.get("Id", ""), relation.get("Type", "").rpartition("/")[2], target

    def charts(self, part: str) -> Iterator[ChartTable]:
        for _, kind, target in self.relations(part):
            if kind == "drawing":
                yield from self.charts(target)
            elif kind == "chart":
                yield chart_table(self.package.read(target))

    def pictures(self, part: str) -> Iterator[str]:
        for _, kind, target in self.relations(part):
            if kind == "drawing":
                yield from (picture for _, inner, picture in self.relations(target) if inner == "image")

    def comments(self, part: str) -> Iterator[str]:
        for _, kind, target in self.relations(part):
            if kind == "comments":
                yield from _notes(xml_tree(self.package.read(target)))
            elif kind == "threadedComment":
                yield from self._threads(xml_tree(self.package.read(target)))

    def _threads(self, root: Element) -> Iterator[str]:
        people = {
            person.get("id", ""): person.get("displayName", "")
            for name in sorted(self.names)
            if name.startswith(_PERSONS) and name.endswith(".xml")
            for person in xml_tree(self.package.read(name))
        }
        for comment in root:
            written = comment.get("dT", "")[:_DATE_CHARACTERS]
            text = "".join(one.text or "" for one in comment.iter() if local_name(one) == "text")
            yield _comment(comment.get("ref", ""), people.get(comment.get("personId", ""), ""), text, written)


def _notes(root: Element) -> Iterator[str]:
    authors = [author.text or "" for author in root.iter() if local_name(author) == "author"]
    for comment in root.iter():
        if local_name(comment) == "comment":
            number = comment.get("authorId", "")
            author = authors[int(number)] if number.isdecimal() and int(number) < len(authors) else ""
            if not author.startswith(_THREAD):
                text = "".join(one.text or "" for one in comment.iter() if local_name(one) == "t")
                yield _comment(comment.get("ref", ""), author, text)


def _comment(cell: str, author: str, text: str, written: str = "") -> str:
    by = ", ".join(filter(None, (author, written)))
    return f"Comment on {cell}{f' ({by})' if by else ''}: {' '.join(text.split())}"


def _relation_of(element: Element) -> str:
    return next((value for name, value in element.attrib.items() if name.endswith("}id")), "")
