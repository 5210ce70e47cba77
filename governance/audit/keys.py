"""The audit log's keys, kept in a folder outside the database and outside its backups."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from core.errors import Conflict
from core.principals import Principal
from governance.audit.durable import create_durably, sync_folder
from governance.audit.envelope import DIGEST, DataKey, canonical

SYSTEM = "system"
"""The pseudonym of records that no person caused."""

_KEY_BYTES = 32
_PSEUDONYM_BYTES = 16


@dataclass(frozen=True, repr=False)
class ChainKeys:
    """The keys derived from the root key, one for each use (HKDF-Expand, RFC 5869, 2.3)."""

    record: bytes
    head: bytes
    subject: bytes


@dataclass(frozen=True)
class KeyStore:
    """The root key, and one data key for each subject, as files that only their owner can read.

    Every file is on disk before a record that needs it is written. Whoever holds this folder can read the
    records and forge them; whoever holds the database alone can do neither.
    """

    folder: Path

    def create(self) -> None:
        """Make the folder and the root key, unless they are there."""
        self._subjects.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_durably(self._root, secrets.token_bytes(_KEY_BYTES))
        sync_folder(self.folder.parent)

    def chain_keys(self) -> ChainKeys:
        """The keys of the chains; raises `Conflict` if the root key is missing or is no key."""
        try:
            root = self._root.read_bytes()
        except FileNotFoundError as error:
            raise Conflict(f"The audit key {self._root} is missing: put it back from where keys are kept.") from error
        if len(root) != _KEY_BYTES:
            raise Conflict(f"The audit key {self._root} is damaged: put it back from where keys are kept.")
        return ChainKeys(*(_derive(root, use) for use in (b"record", b"head", b"subject")))

    def data_key(self, pseudonym: str) -> DataKey:
        """The key for a subject's next record, made durably if there is none.

        It is read anew each time, so that a key destroyed by another process is never used again.
        """
        fresh = DataKey(secrets.token_hex(8), secrets.token_bytes(_KEY_BYTES))
        return self.find(pseudonym) or self._store(pseudonym, fresh)

    def find(self, pseudonym: str) -> DataKey | None:
        """The present key of a subject, or None; records sealed with an earlier one do not open with it."""
        try:
            stored = json.loads(self._path(pseudonym).read_bytes())
            return DataKey(stored["key_id"], bytes.fromhex(stored["key"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise Conflict(f"The data key {self._path(pseudonym)} is damaged: put it back from a copy.") from error

    def destroy(self, pseudonym: str) -> bool:
        """Destroy a subject's key, and with it the content of all their records; False if there is none.

        Copies of this folder keep the key: let its backups live no longer than an erasure may take.
        """
        path = self._path(pseudonym)
        try:
            handle = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            return False
        try:
            os.pwrite(handle, bytes(os.fstat(handle).st_size), 0)
            os.fsync(handle)
        finally:
            os.close(handle)
        path.unlink()
        sync_folder(path.parent)
        return True

    def _store(self, pseudonym: str, key: DataKey) -> DataKey:
        stored = json.dumps({"key_id": key.key_id, "key": key.secret.hex()}).encode()
        if create_durably(self._path(pseudonym), stored):
            return key
        return self.data_key(pseudonym)  # another process made it first

    def _path(self, pseudonym: str) -> Path:
        return self._subjects / f"{pseudonym}.key"

    @property
    def _root(self) -> Path:
        return self.folder / "audit.key"

    @property
    def _subjects(self) -> Path:
        return self.folder / "subjects"


def pseudonym_of(subject: Principal | None, keys: ChainKeys) -> str:
    """The name under which records know a subject: 128 bits of a keyed hash, in hexadecimal, or `SYSTEM`."""
    if subject is None:
        return SYSTEM
    return hmac.digest(keys.subject, canonical((subject.issuer, subject.subject)), DIGEST)[:_PSEUDONYM_BYTES].hex()


def _derive(root: bytes, use: bytes) -> bytes:
    return HKDFExpand(SHA256(), _KEY_BYTES, b"footnote audit " + use).derive(root)
