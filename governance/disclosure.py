"""Showing whole documents: text and bytes to a principal, each on record before it leaves."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.blobs import Blobs
from core.documents import content_hash
from core.principals import Principal
from governance.audit import AuditLog, Entry, Kind, new_audit_id
from governance.doors import DocumentView, Gate


@dataclass(frozen=True)
class Disclosure:
    """What the gate hands out, with its record. Raises `AuditUnavailable`, and shows nothing, without one."""

    gate: Gate
    blobs: Blobs
    audit: AuditLog

    def text(
        self, principal: Principal, document_id: str, actor: str, version: int | None = None
    ) -> tuple[DocumentView, str]:
        """One document's record and stored text, as it is or as it was; raises `NotFound` if absent or not theirs."""
        audit_id = self._intend(principal, "show", document_id, actor)
        view, text = self.gate.text(principal, document_id, version)
        self._shown(principal, view, content_hash(text), audit_id)
        return view, text

    def content(self, principal: Principal, document_id: str, actor: str) -> tuple[DocumentView, bytes]:
        """One document's record and the bytes it came as; raises `NotFound` likewise."""
        audit_id = self._intend(principal, "content", document_id, actor)
        view, name = self.gate.content_name(principal, document_id)
        data = self.blobs.read(name)
        self._shown(principal, view, name, audit_id)
        return view, data

    def _intend(self, principal: Principal, action: str, document_id: str, actor: str) -> str:
        audit_id = new_audit_id()
        asked = {"action": action, "document_id": document_id, "actor": actor}
        self.audit.append(Kind.INTENT, principal, asked, audit_id)
        return audit_id

    def _shown(self, principal: Principal, view: DocumentView, sha256: str, audit_id: str) -> None:
        shown = {"document_id": view.document_id, "version": view.version, "sha256": sha256}
        self.audit.append_all([Entry(Kind.EVIDENCE, principal, shown, audit_id)])
