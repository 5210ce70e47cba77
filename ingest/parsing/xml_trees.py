"""XML read without entities, external files or network: the one way our own parsers open it."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from core.errors import UnreadableDocument
from ingest.parsing.charsets import decode
from ingest.parsing.damage import sign_of

_ENCODING = re.compile(rb"(\A\s*<\?xml[^>]*?)\s+encoding\s*=\s*[\"']([-\w.:]+)[\"']", re.I)


def xml_tree(data: bytes) -> Element:
    """The root element; a document type is let through, since e-books and feeds have them.

    Where the bytes are in another encoding than they say, as after a careless conversion, they are read as what they
    are.

    Raises `UnreadableDocument`: "hostile" where a document type declares an entity or names one outside, "malformed".
    """
    try:
        root: Element = ElementTree.fromstring(_in_utf8(data))
    except DefusedXmlException as error:
        raise UnreadableDocument("hostile", "The document declares XML entities; it was not opened.") from error
    except (ParseError, LookupError, ValueError) as error:
        raise UnreadableDocument(
            "malformed", f"The XML is damaged ({sign_of(error)}); repair it or export it again."
        ) from error
    return root


def _in_utf8(data: bytes) -> bytes:
    declared = _ENCODING.search(data[:200])
    text = decode(data, declared[2].decode("ascii", "replace") if declared else "")
    return _ENCODING.sub(rb"\1", text.encode("utf-8"), count=1)


def local_name(element: Element) -> str:
    """An element's name without its namespace; nothing for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
