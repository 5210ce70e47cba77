"""E-books (EPUB 2 and 3): the chapters in the order of the spine, each read as the page it is."""

from __future__ import annotations

import io
import posixpath
import zipfile
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from selectolax.lexbor import LexborHTMLParser

from core.documents import BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, sensible_title
from ingest.parsing.charsets import decode
from ingest.parsing.damage import sign_of
from ingest.parsing.detection import EPUB
from ingest.parsing.html import add_html
from ingest.parsing.office_package import DAMAGE
from ingest.parsing.office_zip import checked_members
from ingest.parsing.xml_trees import local_name, xml_tree

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
# Fonts that are merely obfuscated do not lock the text away (EPUB OCF 3.3, 4.4).
_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_ON_THE_WEB = ("http:", "https:")
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def parse_epub(data: bytes) -> Parsed:
    """The blocks of every chapter; one without a heading of its own begins with its entry in the contents.

    Pictures, styles, scripts and what the spine does not name are left alone.
    Raises `UnreadableDocument`: "hostile" (decompression bomb, entities), "encrypted", "malformed", "empty".
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = frozenset(checked_members(archive))
            _refuse_locked(archive, names)
            path = _package_path(xml_tree(archive.read(_CONTAINER)))
            package = xml_tree(archive.read(path))
            base = posixpath.dirname(path)
            chapters = [name for name in _spine(package, base) if name in names]
            contents = _contents(archive, package, base, names)
            assembly = Assembly()
            for name in chapters:
                _add_chapter(assembly, archive.read(name), contents.get(name, ""))
    except DAMAGE as error:
        raise UnreadableDocument(
            "malformed", f"The e-book is damaged ({sign_of(error)}); fetch it again, or save it as PDF or HTML."
        ) from error
    title = sensible_title(next((e.text or "" for e in package.iter() if local_name(e) == "title"), ""))
    return assembly.parsed(EPUB, title=title or assembly.first_heading())


def _refuse_locked(archive: zipfile.ZipFile, names: frozenset[str]) -> None:
    if _ENCRYPTION not in names:
        return
    methods = [e for e in xml_tree(archive.read(_ENCRYPTION)).iter() if local_name(e) == "EncryptionMethod"]
    if any(method.get("Algorithm") not in _OBFUSCATION for method in methods):
        raise UnreadableDocument("encrypted", "The e-book is locked by its publisher; it can only be read unlocked.")


def _package_path(container: Element) -> str:
    """Where the package document stands (EPUB OCF 3.3, 4.2.6.3.1); raises `KeyError` if nothing says so."""
    for element in container.iter():
        if local_name(element) == "rootfile" and element.get("full-path"):
            return element.attrib["full-path"]
    raise KeyError("rootfile")


def _spine(package: Element, base: str) -> list[str]:
    """The members with the chapters, in reading order, each once."""
    manifest = {e.get("id"): e for e in package.iter() if local_name(e) == "item"}
    items = [manifest.get(e.get("idref")) for e in package.iter() if local_name(e) == "itemref"]
    pages = [item for item in items if item is not None and item.get("media-type") in _PAGES]
    # The page of contents repeats every heading; it is read for titles alone.
    pages = [item for item in pages if "nav" not in item.get("properties", "").split()]
    return list(dict.fromkeys(_member(base, item.get("href", "")) for item in pages))


def _member(base: str, href: str) -> str:
    """The archive's name for a link, without its fragment."""
    return posixpath.normpath(posixpath.join(base, unquote(urlsplit(href).path)))


def _contents(archive: zipfile.ZipFile, package: Element, base: str, names: frozenset[str]) -> dict[str, str]:
    """Chapter titles by member, from the EPUB 3 navigation page or the EPUB 2 `ncx`; of several the first."""
    titles: dict[str, str] = {}
    for item in package.iter():
        if local_name(item) != "item" or _member(base, item.get("href", "")) not in names:
            continue
        member = _member(base, item.get("href", ""))
        if "nav" in item.get("properties", "").split():
            entries = _nav_entries(archive.read(member))
        elif item.get("media-type") == "application/x-dtbncx+xml":
            entries = _ncx_entries(archive.read(member))
        else:
            continue
        for href, title in entries:
            titles.setdefault(_member(posixpath.dirname(member), href), title)
    return titles


def _nav_entries(page: bytes) -> list[tuple[str, str]]:
    links = LexborHTMLParser(decode(page)).css("nav a[href]")
    return [(link.attributes.get("href") or "", " ".join(link.text().split())) for link in links]


def _ncx_entries(page: bytes) -> list[tuple[str, str]]:
    """The entries of an EPUB 2 `ncx`; none where its XML is damaged, since the chapters are read without it."""
    try:
        ncx = xml_tree(page)
    except UnreadableDocument as failure:
        if failure.verdict != "malformed":
            raise
        return []
    entries = []
    for point in ncx.iter():
        if local_name(point) == "navPoint":
            children = {local_name(child): child for child in point}
            label, content = children.get("navLabel"), children.get("content")
            if label is not None and content is not None:
                entries.append((content.get("src", ""), " ".join("".join(label.itertext()).split())))
    return entries


def _add_chapter(assembly: Assembly, page: bytes, title: str) -> None:
    tree = LexborHTMLParser(decode(page))
    if title and tree.css_first("h1, h2, h3, h4, h5, h6") is None:
        assembly.add(BlockKind.HEADING, title, level=1)
    for anchor in tree.css("a[href]"):
        # To another page of the book, which is this very document.
        if not (anchor.attributes.get("href") or "").lower().startswith(_ON_THE_WEB):
            del anchor.attrs["href"]
    add_html(assembly, tree)
