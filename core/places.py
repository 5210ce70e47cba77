"""Places: where documents stand and links lead, spelled so that both can be compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

LONGEST = 2_000
"""Characters of an address; longer ones lead to no document of ours."""

_KEY_CHARACTERS = 200
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)
_WEB = ("http", "https")
# Pages are linked to with and without these, as site generators and people like it.
_SUFFIX = re.compile(
    r"\.(?:md|markdown|mdx|html?|xhtml|rst|txt|adoc|asciidoc|org|php|aspx?|erb|ipynb)(?:\.(?:md|erb))*$"
)
# A page there is its id, which its title may stand before.
_NOTION = ("notion.so", "notion.site")
_NOTION_PAGE = re.compile(r"(?:[0-9a-f]-?){31}[0-9a-f]$")
_FOLDER_PAGES = frozenset({"index", "_index", "readme", "default"})


@dataclass(frozen=True)
class Lead:
    """Where a link leads: the steps of the place, and how many of the last ones the link itself names.

    Steps of an address on the web begin with its host, `//example.org`, and the link names all of them.
    """

    steps: tuple[str, ...]
    named: int

    @property
    def on_the_web(self) -> bool:
        return self.steps[0].startswith("//")


def steps_of(address: str) -> tuple[str, ...]:
    """The steps to a document: of a path, or of an address with its host first and its query in the last one.

    Case, percent encoding, `.` and `..`, a fragment, the suffix of a page and the name of a folder's own page
    (`index`, `README`) make no difference.
    """
    address = address.partition("#")[0].replace("\\", "/")
    host, path, query = _split(address) if _on_the_web(address) else ("", address, "")
    if not path and not host:
        return ()
    steps = [f"//{host}"] if host else []
    least = len(steps)
    for step in _clean(path).split("/"):
        if step == "..":
            del steps[max(least, len(steps) - 1) :]
        elif step not in ("", "."):
            steps.append(step)
    if len(steps) > least:
        steps[-1] = _SUFFIX.sub("", steps[-1]) or steps[-1]
        if steps[-1] in _FOLDER_PAGES and len(steps) > 1:
            steps.pop()
        if host.endswith(_NOTION) and (identity := _NOTION_PAGE.search(steps[-1])):
            steps[-1], query = identity[0].replace("-", ""), ""
    if query and steps:
        steps[-1] += f"?{_clean(query)}"
    return tuple(steps)


def lead_of(external_id: str, uri: str, target: str) -> Lead | None:
    """Where `target`, written in the document that stands at `external_id` and `uri`, leads; None if to no document.

    What is relative is so to the document's path, or else to its address. Mail addresses, scripts, places within the
    document itself and addresses that are none lead nowhere.
    """
    target = target.strip().partition("#")[0]
    if not target or len(target) > LONGEST:
        return None
    if target.startswith("//"):
        target = f"https:{target}"
    if not _SCHEME.match(target):
        base = _base(external_id, uri)
        if not base:
            return _relative(external_id, target)
        target = urljoin(base, target)
    steps = steps_of(target) if _on_the_web(target) else ()
    return Lead(steps, len(steps)) if steps else None


def place_key(steps: Sequence[str]) -> str | None:
    """What two spellings of one place share, and few others have: the last two steps; None of no place.

    Databases bound what an index holds, so of very long steps only the end counts. Documents are stored with their
    keys: whoever changes how places are spelled brings these up to date in a migration.
    """
    return "/".join(steps[-2:])[-_KEY_CHARACTERS:] or None


def address_steps(uri: str) -> tuple[str, ...]:
    """The steps of an address on the web, none of any other."""
    return steps_of(uri) if _on_the_web(uri) else ()


def _base(external_id: str, uri: str) -> str:
    """The address that what a document writes is relative to; empty where it stands at a path, like a file of a
    repository, whose address on the web is one of several."""
    if _on_the_web(external_id):
        return external_id
    path = steps_of(external_id)
    return uri if _on_the_web(uri) and steps_of(uri)[-len(path) :] != path else ""


def _relative(external_id: str, target: str) -> Lead | None:
    path = target.partition("?")[0]
    folder = external_id.rpartition("/")[0]
    steps = steps_of(path if path.startswith("/") else f"{folder}/{path}")
    named = [step for step in path.split("/") if step not in ("", ".", "..")]
    own = steps_of("/".join(named))
    return Lead(steps, min(len(own), len(steps))) if steps else None


def _split(address: str) -> tuple[str, str, str]:
    """Host, path and query of an address on the web; nothing of one that is none."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").removeprefix("www.")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:
        return "", "", ""
    return (host + port, parts.path, parts.query) if host else ("", "", "")


def _on_the_web(address: str) -> bool:
    return address[:8].lower().startswith(tuple(f"{scheme}://" for scheme in _WEB))


def _clean(part: str) -> str:
    return unicodedata.normalize("NFC", unquote(part)).casefold()
