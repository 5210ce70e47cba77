"""Who asks, and whom an access list can name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from core.errors import WrongUsage

LOCAL_ISSUER = "local"

# A subject is compared byte for byte, so nothing invisible may hide in it.
_SUBJECT = re.compile(r"[^\s\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\ud800-\udfff]{1,255}")


@dataclass(frozen=True, order=True)
class Principal:
    """A person who asks: an issuer and the immutable subject it knows them by.

    Equality is exact on both; e-mail addresses and display names never identify.
    `str()` gives `user:ana` for the issuer `local`, else `user:ISSUER|SUBJECT`.
    """

    issuer: str
    subject: str

    def __str__(self) -> str:
        return str(Grantee(GranteeKind.USER, self.issuer, self.subject))

    @property
    def grantee(self) -> Grantee:
        """This person, as an access list names them."""
        return Grantee(GranteeKind.USER, self.issuer, self.subject)


class GranteeKind(StrEnum):
    USER = "user"
    GROUP = "group"
    EVERYONE = "everyone"


@dataclass(frozen=True, order=True)
class Grantee:
    """A person, a group or everyone: what an access list can allow or deny."""

    kind: GranteeKind
    issuer: str
    subject: str

    def __str__(self) -> str:
        if self.kind is GranteeKind.EVERYONE:
            return "everyone"
        # A bar in a local subject must not read as another issuer's: `parse_grantee` gives back what was written.
        plain = self.issuer == LOCAL_ISSUER and "|" not in self.subject
        return f"{self.kind}:{self.subject}" if plain else f"{self.kind}:{self.issuer}|{self.subject}"


EVERYONE = Grantee(GranteeKind.EVERYONE, LOCAL_ISSUER, "everyone")


def parse_grantee(text: str) -> Grantee:
    """Read `user:ID`, `group:ID` or `everyone`; `ISSUER|ID` names another issuer than `local`.

    Raises `WrongUsage` for anything else.
    """
    if text == "everyone":
        return EVERYONE
    kind, colon, name = text.partition(":")
    issuer, bar, subject = name.partition("|")
    if not bar:
        issuer, subject = LOCAL_ISSUER, name
    if not colon or kind not in ("user", "group") or not _SUBJECT.fullmatch(subject) or not _SUBJECT.fullmatch(issuer):
        raise WrongUsage(f"{text!r} names nobody: write user:ID, group:ID or everyone.")
    return Grantee(GranteeKind(kind), issuer, subject)


def parse_principal(text: str) -> Principal:
    """Read `user:ID`, the only kind of name that can ask; raises `WrongUsage`."""
    grantee = parse_grantee(text)
    if grantee.kind is not GranteeKind.USER:
        raise WrongUsage(f"{text!r} cannot ask: only a person can, written user:ID.")
    return Principal(grantee.issuer, grantee.subject)
