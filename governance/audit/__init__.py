"""What was done, by whom, on what evidence, comes in; encrypted, chained records that tell of tampering come out."""

from governance.audit.envelope import Kind, Record, new_audit_id
from governance.audit.keys import KeyStore
from governance.audit.log import AuditLog, Entry, Pending
from governance.audit.reading import AuditReader, Opened
from governance.audit.table import create_schema, metadata, require_writable
from governance.audit.verification import Flaw, Report, verify

__all__ = [
    "AuditLog",
    "AuditReader",
    "Entry",
    "Flaw",
    "KeyStore",
    "Kind",
    "Opened",
    "Pending",
    "Record",
    "Report",
    "create_schema",
    "metadata",
    "new_audit_id",
    "require_writable",
    "verify",
]
