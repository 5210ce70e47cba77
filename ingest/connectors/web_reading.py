"""What a crawler needs of a page or a sitemap, read in the parser process: strangers wrote them.

The sandbox carries text alone, so what is found goes through it as JSON.
"""

from __future__ import annotations

import json
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

from core.documents import Block, BlockKind, Parsed
from ingest.connectors.robots import AGENT
from ingest.connectors.web_url import LONGEST
from ingest.parsing.charsets import decode
from ingest.parsing.xml_trees import local_name, xml_tree

PAGE, SITEMAP = "page", "sitemap"
LINKS = 10_000
"""Links of one page that are looked at."""
ENTRIES = 50_000
"""Addresses of one sitemap (sitemaps.org, "Sitemap file format"). """


def parse(data: bytes, name: str) -> Parsed:
    """What stands in a page or a sitemap, as `name` says."""
    text = json.dumps(_page(data) if name == PAGE else _sitemap(data))
    return Parsed(text, (Block(BlockKind.PARAGRAPH, 0, len(text)),), "", "application/json")


def _page(data: bytes) -> dict[str, Any]:
    page = LexborHTMLParser(decode(data))
    links: list[str] = []
    for node in page.css("a[href], area[href], link[rel~=next][href], frame[src], iframe[src]"):
        if len(links) > LINKS:
            break
        link = _attribute(node, "href") or _attribute(node, "src")
        if link and len(link) <= LONGEST and "nofollow" not in _attribute(node, "rel").lower().split():
            links.append(link)
    metas = page.css("meta[name][content]")
    return {
        "links": links[:LINKS],
        "more": len(links) > LINKS,
        "base": next((_attribute(node, "href") for node in page.css("base[href]")), "")[:LONGEST],
        "canonical": next((_attribute(node, "href") for node in page.css("link[rel~=canonical][href]")), "")[:LONGEST],
        "robots": [
            _attribute(node, "content")[:LONGEST]
            for node in metas
            if _attribute(node, "name").lower() in ("robots", AGENT)
        ],
    }


def _sitemap(data: bytes) -> dict[str, Any]:
    """Pages with what they say of their last change, and further sitemaps; a list of lines is one as well."""
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = [line.strip() for line in decode(data).splitlines()]
        return {"pages": [[line, ""] for line in lines if 0 < len(line) <= LONGEST][:ENTRIES], "maps": []}
    root = xml_tree(data)
    found: dict[str, list[list[str]]] = {"url": [], "sitemap": []}
    for element in root:
        fields = {local_name(child): (child.text or "").strip() for child in element}
        entries = found.get(local_name(element))
        if entries is not None and len(entries) < ENTRIES and 0 < len(fields.get("loc", "")) <= LONGEST:
            entries.append([fields["loc"], fields.get("lastmod", "")[:40]])
    return {"pages": found["url"], "maps": [where for where, _ in found["sitemap"]]}


def _attribute(node: LexborNode, name: str) -> str:
    return node.attributes.get(name) or ""
