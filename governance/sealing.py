"""Content that belongs to one person, encrypted with that person's own key: whoever destroys the key erases it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.principals import Principal
from governance.audit import KeyStore
from governance.audit.envelope import canonical
from governance.audit.keys import pseudonym_of

_NONCE_BYTES = 12


@dataclass(frozen=True)
class Sealing:
    """AES-256-GCM (NIST SP 800-38D) under the data key that the audit log has for a person.

    `place` says what the content is and where it stands; content that is moved elsewhere does not open.
    """

    keys: KeyStore

    def owner(self, principal: Principal) -> str:
        """The pseudonym under which a person's rows are kept: the one that the audit log knows them by."""
        return pseudonym_of(principal, self.keys.chain_keys())

    def seal(self, owner: str, place: Sequence[int | str], content: bytes) -> bytes:
        """Nonce and ciphertext, one after the other."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        key = self.keys.data_key(owner)
        return nonce + AESGCM(key.secret).encrypt(nonce, content, canonical((owner, *place)))

    def fingerprint(self, owner: str, content: Sequence[int | str]) -> str:
        """By what the same content is known again, and nothing else of it: a keyed hash, in hexadecimal."""
        return hmac.digest(self.keys.data_key(owner).secret, canonical(("fingerprint", *content)), "sha256").hex()

    def open(self, owner: str, place: Sequence[int | str], sealed: bytes) -> bytes | None:
        """What was sealed at this place, or None once its key has been destroyed or it was altered."""
        key = self.keys.find(owner)
        if key is None:
            return None
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return AESGCM(key.secret).decrypt(nonce, ciphertext, canonical((owner, *place)))
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            return None
