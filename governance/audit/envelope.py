"""The envelope of an audit record: its fields, what its MAC covers, and how its content is sealed."""

from __future__ import annotations

import hmac
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeGuard, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DIGEST = "sha256"
GENESIS = bytes(32)
"""What the first record of a chain names as the MAC of the record before it."""

# NIST SP 800-38D, 8.2.2: a random nonce of 96 bits is safe for 2^32 records under one key.
_NONCE_BYTES = 12
_FORMAT = b"footnote audit record 1"


class Kind(StrEnum):
    """What a record tells of."""

    INTENT = "intent"
    """A question, before anything is looked up for it."""
    EVIDENCE = "evidence"
    """Everything an answer was made from, before its first byte leaves."""
    SENTENCE = "sentence"
    """One sentence of an answer that is streamed, before it leaves."""
    RECEIPT = "receipt"
    """What was answered."""
    FEEDBACK = "feedback"
    """What the person who asked said of an answer, under the answer's own audit id."""
    SEARCH = "search"
    SHOW = "show"
    """A document's text, shown."""
    CONTENT = "content"
    """A document's original bytes, handed out."""
    EXPORT = "export"
    INGEST = "ingest"
    ADMIN = "admin"
    """A change to people, groups, keys, access or settings."""
    SIGN_IN = "sign_in"
    AUDIT = "audit"
    """A look into this log."""


@dataclass(frozen=True)
class Record:
    """One row of `audit_records`, in the order in which its MAC covers it.

    `kind` is a word of `Kind`, or of a newer version's. The content lies encrypted in `ciphertext`: AES-256-GCM
    under the data key `key_id` of `subject`, bound to the fields before `nonce`.
    """

    id: int
    """Grows with time within a chain; see `record_id`."""
    audit_id: str
    """Shared by the records of one request; what users are given."""
    chain: str
    sequence: int
    """From 1, without gaps, within its chain."""
    time: str
    """UTC, ISO 8601, in microseconds."""
    kind: str
    subject: str
    """A keyed hash of issuer and subject, or `system`."""
    key_id: str
    nonce: bytes
    ciphertext: bytes
    previous: bytes
    """The MAC of the record before it in its chain; `GENESIS` for the first."""
    mac: bytes
    """HMAC-SHA256 (RFC 2104) over all fields above."""


COLUMNS = tuple(field.name for field in fields(Record))
_TYPES = (int, str, str, int, str, str, str, str, bytes, bytes, bytes, bytes)


@dataclass(frozen=True)
class DataKey:
    """One subject's key for content: 32 bytes, and the name under which records point to it."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.key_id!r}, ***)"


def canonical(values: Sequence[int | str | bytes]) -> bytes:
    """The values one after the other, each after its length, so that no two sequences read alike."""
    # A stored text that is not UTF-8 comes with its bytes escaped; it must be hashed as what it is.
    parts = [v if isinstance(v, bytes) else str(v).encode("utf-8", "surrogateescape") for v in values]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def mac_of(values: Sequence[int | str | bytes], key: bytes) -> bytes:
    """The MAC of a record, given its fields in order without the MAC."""
    return hmac.digest(key, _FORMAT + canonical(values), DIGEST)


def is_authentic(row: Sequence[object], key: bytes) -> TypeGuard[tuple[int | str | bytes, ...]]:
    """Whether a stored row, in the order of `COLUMNS`, is one that a holder of `key` wrote.

    Types count: SQLite stores any type in any column, and a text turned into bytes is an altered record.
    """
    if tuple(type(value) for value in row) != _TYPES:
        return False
    *values, mac = cast("tuple[int | str | bytes, ...]", tuple(row))
    return hmac.compare_digest(mac_of(values, key), cast(bytes, mac))


def seal(header: Sequence[int | str], key: DataKey, content: bytes) -> tuple[bytes, bytes]:
    """Encrypt content under a data key, bound to the record's fields before its nonce: (nonce, ciphertext)."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce, AESGCM(key.secret).encrypt(nonce, content, canonical(header))


def unseal(record: Record, key: DataKey) -> bytes | None:
    """The content of a record, or None if it was not sealed in this record with this key."""
    header = [getattr(record, name) for name in COLUMNS[: COLUMNS.index("nonce")]]
    try:
        return AESGCM(key.secret).decrypt(record.nonce, record.ciphertext, canonical(header))
    except (InvalidTag, ValueError):  # ValueError: a nonce of a length that AES-GCM has not
        return None


def record_id(now_us: int, slot: int, above: int) -> int:
    """A record's number: microseconds since 1970, then ten bits of the chain's slot; more than `above`.

    Numbers of two chains never meet, and those of one grow even when the clock is set back.
    """
    return (max(now_us, (above >> SLOT_BITS) + 1) << SLOT_BITS) | slot


SLOT_BITS = 10
SLOTS = 1 << SLOT_BITS


def iso(now_us: int) -> str:
    """Microseconds since 1970 as records write time."""
    moment = datetime.fromtimestamp(now_us // 1_000_000, UTC).replace(microsecond=now_us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_audit_id() -> str:
    """A new name for the records of one request: a UUID of version 7 (RFC 9562, 5.7), ordered by time."""
    millis, random = time.time_ns() // 1_000_000, secrets.randbits(74)
    high, low = random >> 62, random & ((1 << 62) - 1)
    return str(uuid.UUID(int=millis << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))
