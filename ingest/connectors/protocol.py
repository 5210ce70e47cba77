"""What every source of documents can do: list what has changed since a cursor, fetch, and say who may read what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.principals import Grantee
from governance.access.rules import NOBODY, Decision


@dataclass(frozen=True)
class Listed:
    """A document as its source lists it.

    `external_id` is the source's own stable id, which a rename or a move leaves alone. `name` is a file name whose
    suffix tells kinds of text apart; `uri` is where a person opens it. `revision` differs whenever the bytes do, so
    that an equal one is never fetched again; `hashed` says that it is a hash of the bytes alone, so that a document
    which is gone and one which is new with the same revision are one that has moved. `access` is who may read it there,
    None where the source has no permissions and the operator's own rules decide. `reference` is what `fetch` needs
    beyond the id.
    """

    external_id: str
    name: str
    uri: str
    revision: str
    access: Decision | None = None
    reference: str = ""
    hashed: bool = False


@dataclass(frozen=True)
class Page:
    """A part of what has changed, small enough to be kept in memory, and the cursor to go on from once it is taken.

    `last` says that this is all there is now. `whole` says that the page belongs to a listing of everything: what that
    has not named by its last page is not there any more. In a list of changes alone, `gone` names what was deleted or
    taken from us. `refused` are documents that are there and could not be listed, with the reason: they are left as
    they are and reported.
    """

    listed: Sequence[Listed]
    cursor: str
    gone: Sequence[str] = ()
    whole: bool = False
    last: bool = False
    refused: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Group:
    """A group of the source and its direct members, people and groups; `problem` says why these are not known."""

    group: Grantee
    members: tuple[Grantee, ...] = ()
    name: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class Account:
    """A person as the source knows them, by a stable id.

    The name and the address help an administrator to recognize whose account it is; neither identifies.
    """

    user: Grantee
    name: str = ""
    email: str = field(default="", repr=False)


class CursorExpired(Exception):
    """The source no longer knows what has changed since the cursor: everything is to be listed anew."""


class Connector(Protocol):
    """One source, opened. One thread uses it at a time.

    Every method may raise `Transient` (the source is down or busy, its limits waited for in vain) and `SourceRefused`
    (credentials or rights are missing). No error, representation or log line holds a credential.
    """

    @property
    def mirrors_permissions(self) -> bool:
        """Whether the source says who may read what; else the operator's rules decide."""
        ...

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """What has changed since `cursor`, in pages; None lists everything.

        Reading may stop after any page and go on from its cursor later, in another process, with nothing lost; what
        is named twice is the same twice. Cursors are text without secrets. Raises `CursorExpired`.
        """
        ...

    def fetch(self, document: Listed) -> bytes:
        """The document's bytes. Raises `UnreadableDocument` where they cannot be had, `NotFound` where it is gone."""
        ...

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        """Who may read each document now, by external id; nothing where permissions are not mirrored.

        What cannot be found out is `denied`. A document that is not named keeps what its listing said.
        """
        ...

    def groups(self) -> Iterator[Group]:
        """Every group that the lists may name."""
        ...

    def accounts(self) -> Iterator[Account]:
        """Everybody that the lists may name, as far as the source tells."""
        ...

    def close(self) -> None:
        """Let go of connections; nothing of the connector is used afterwards."""
        ...


def denied(reason: str) -> Decision:
    """Nobody may read a document whose readers the source does not tell; `reason` is shown by `access explain`."""
    return Decision(NOBODY, f"nobody may read it: {reason}")


class WithoutPermissions:
    """The part of a connector whose source does not say who may read what."""

    mirrors_permissions = False

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        return iter(())

    def groups(self) -> Iterator[Group]:
        return iter(())

    def accounts(self) -> Iterator[Account]:
        return iter(())
