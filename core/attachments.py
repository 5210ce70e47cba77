"""Where a document that another carries has its place: under the one that carries it, and found back from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote


class Placed(Protocol):
    """Anything that has a document's place."""

    @property
    def external_id(self) -> str: ...

    @property
    def uri(self) -> str: ...


P = TypeVar("P", bound=Placed)


def placed_under(external_id: str, uri: str, name: str) -> tuple[str, str]:
    """The external id and the URI of an attachment: `mail.eml/contract.pdf` and `file:///…/mail.eml#contract.pdf`.

    `external_id` and `uri` are those of the document of the source that carries it, at whatever depth.
    """
    return f"{external_id}/{name}", f"{uri}#{quote(name)}"


def carrier(document: Placed) -> str | None:
    """The external id of the document that carries this one; None for a document of the source itself."""
    _, hash_, name = document.uri.rpartition("#")
    end = f"/{unquote(name)}"
    return document.external_id.removesuffix(end) if hash_ and document.external_id.endswith(end) else None


def holder(document: Placed) -> str:
    """The external id of the document of the source: the carrier's, or its own. The source's rules speak of that."""
    return carrier(document) or document.external_id


def carried(documents: Iterable[P]) -> dict[str, list[P]]:
    """Attachments by the external id of the document that carries them."""
    found: dict[str, list[P]] = {}
    for document in documents:
        above = carrier(document)
        if above is not None:
            found.setdefault(above, []).append(document)
    return found


def of_source(documents: Mapping[str, P]) -> dict[str, P]:
    """The documents that are the source's own, attachments left out."""
    return {key: document for key, document in documents.items() if carrier(document) is None}


def numbered(name: str) -> Iterator[str]:
    """A file name, then others like it for where it is taken: `a.pdf`, `a (2).pdf`, `a (3).pdf` and so on."""
    stem, dot, suffix = name.rpartition(".") if "." in name.rpartition("/")[2] else (name, "", "")
    yield name
    yield from (f"{stem} ({number}){dot}{suffix}" for number in count(2))
