"""Mailboxes in one file (mbox, RFC 4155): each message a document of its own; the mailbox lists them."""

from __future__ import annotations

import re
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime

from core.documents import Attachment, BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.assembly import Assembly, table_row
from ingest.parsing.containers import Budget
from ingest.parsing.detection import MBOX
from ingest.parsing.mail import header_text
from ingest.parsing.member_names import safe_name, unused

LISTED = 1_000
"""Messages that the mailbox's own text names; the others are documents all the same."""

# A message begins at `From ` after an empty line; that line within a message has been written with a `>` before it.
_BEGIN = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\n]*\n")
_QUOTED = re.compile(rb"^>(>*From )", re.M)
_HEAD = re.compile(rb"\r?\n\r?\n")
_SUBJECT_CHARACTERS = 80


def parse_mbox(data: bytes, budget: Budget | None = None) -> Parsed:
    """The messages as attachments, named by their day and subject, and a table of them.

    Raises `UnreadableDocument`: "malformed" where no message begins, "too_large" for more messages than are opened.
    """
    budget = budget or Budget()
    data = data.lstrip(b"\r\n \t")
    starts = list(_BEGIN.finditer(data))
    if not starts:
        raise UnreadableDocument("malformed", "The file is no mailbox: no message begins in it with a From line.")
    if len(starts) > budget.entries:
        reason = f"The mailbox holds {len(starts):,} messages, which is more than are opened; split it."
        raise UnreadableDocument("too_large", reason)
    budget.enter(len(starts))
    ends = [start.start() for start in starts[1:]] + [len(data)]
    messages = (data[start.end() : end].rstrip() for start, end in zip(starts, ends, strict=True))
    taken: set[str] = set()
    rows = [table_row(["date", "from", "subject"])]
    attachments = []
    for message in filter(None, messages):
        message = _QUOTED.sub(rb"\1", message)
        day, sender, subject = _described(message)
        rows.append(table_row([day, sender, subject]))
        name = safe_name(f"{day} {subject[:_SUBJECT_CHARACTERS]}".strip(), "message")
        attachments.append(Attachment(unused(f"{name}.eml", taken), message))
    assembly = Assembly()
    assembly.add(BlockKind.TABLE, "\n".join(filter(None, rows[: LISTED + 1])))
    if len(attachments) > LISTED:
        assembly.add(BlockKind.PARAGRAPH, f"and {len(attachments) - LISTED:,} messages more")
    parsed = assembly.parsed(MBOX)
    return Parsed(parsed.text, parsed.blocks, parsed.title, MBOX, parsed.metadata, tuple(attachments))


def _described(message: bytes) -> tuple[str, str, str]:
    """The day, the sender and the subject of a message, as far as it says them."""
    headers = BytesHeaderParser().parsebytes(_HEAD.split(message, maxsplit=1)[0])
    try:
        day = parsedate_to_datetime(str(headers["Date"])).date().isoformat()
    except (ValueError, TypeError, IndexError):
        day = ""
    return day, header_text(headers, "From"), header_text(headers, "Subject")
